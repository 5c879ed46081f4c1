#include "storage/safetensors.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "config/error.hpp"
#include "tests/storage/file_size_limit.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace {

using floats = std::vector<float>;

template <class T>
std::string bytes_of(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

/// A file's bytes from its two parts, by the format's own rule.
std::string make_file(const std::string& header, const std::string& data) {
  return bytes_of<std::uint64_t>({header.size()}) + header + data;
}

floats copy_of(const named_tensor& tensor) {
  return {tensor.values.begin(), tensor.values.end()};
}

/// A header and data with everything in it that a file can have.
std::string sample_file() {
  return make_file(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},)"
      R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
      R"("c":{"dtype":"BF16","shape":[],"data_offsets":[12,14]}})",
      bytes_of<float>({1.5F, -2.0F}) + bytes_of<std::uint16_t>({0x3c00, 0xc000, 0x4049}));
}

/// The message of the usage_error that reading these bytes ends with, or "" if it does not.
std::string refusal(const std::string& path, const std::string& bytes) {
  write_bytes(path, bytes);
  try {
    const safetensors_file file(path);
    return "";
  } catch (const usage_error& error) {
    return error.what();
  }
}

}  // namespace

// -- reading ------------------------------------------------------------------------------------

TEST_CASE("a file of the three float types is read as f32, in the order of its data") {
  const temporary_folder folder;
  write_bytes(folder.file("x"), sample_file());
  const safetensors_file file(folder.file("x"));
  REQUIRE(file.tensors().size() == 3);
  CHECK(file.tensors()[0].name == "a");
  CHECK(file.tensors()[0].shape == std::vector<std::int64_t>{2, 1});
  CHECK(copy_of(file.tensors()[0]) == floats{1.5F, -2.0F});
  CHECK(file.tensors()[1].name == "b");
  CHECK(file.tensors()[1].shape == std::vector<std::int64_t>{2});
  CHECK(copy_of(file.tensors()[1]) == floats{1.0F, -2.0F});
  CHECK(file.tensors()[2].name == "c");
  CHECK(file.tensors()[2].shape.empty());
  CHECK(copy_of(file.tensors()[2]) == floats{3.140625F});
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  CHECK(file.find("b") == &file.tensors()[1]);
  CHECK(file.find("d") == nullptr);
}

TEST_CASE("what is in a file is listed, of whatever type, where it lies") {
  const temporary_folder folder;
  const std::string header = R"({"b":{"dtype":"I64","shape":[1,2],"data_offsets":[3,19]},)"
                             R"("a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},)"
                             R"("__metadata__":{"format":"np"}})";
  write_bytes(folder.file("x"), make_file(header, std::string(19, '\1')));
  const auto listed = list_safetensors(folder.file("x"));
  REQUIRE(listed.size() == 2);
  CHECK(listed[0].name == "a");
  CHECK(listed[0].type == "BOOL");
  CHECK(listed[0].shape == std::vector<std::int64_t>{3});
  CHECK(listed[0].elements == 3);
  CHECK(listed[0].begin == 8 + header.size());
  CHECK(listed[1].name == "b");
  CHECK(listed[1].type == "I64");
  CHECK(listed[1].begin == 8 + header.size() + 3);
  CHECK(listed[1].end == 8 + header.size() + 19);
  CHECK_THROWS_WITH_AS(safetensors_file(folder.file("x")),
                       doctest::Contains("supported are F32, F16 and BF16"), usage_error);
  write_bytes(folder.file("x"),
              make_file(R"({"a":{"dtype":"C64","shape":[0],"data_offsets":[0,0]}})", ""));
  CHECK_THROWS_WITH_AS(list_safetensors(folder.file("x")),
                       doctest::Contains("tensor \"a\" has the type \"C64\""), usage_error);
}

TEST_CASE("half precision is widened exactly") {
  const temporary_folder folder;
  const float infinity = std::numeric_limits<float>::infinity();
  const auto read = [&](const std::string& type, std::initializer_list<std::uint16_t> bits) {
    write_bytes(
        folder.file("x"),
        make_file(R"({"x":{"dtype":")" + type + R"(","shape":[)" + std::to_string(bits.size()) +
                      R"(],"data_offsets":[0,)" + std::to_string(2 * bits.size()) + "]}}",
                  bytes_of(bits)));
    return copy_of(safetensors_file(folder.file("x")).tensors().at(0));
  };
  // One third, the largest, the smallest normal, the largest and the smallest subnormal.
  CHECK(read("F16", {0x3555, 0x7bff, 0x0400, 0x03ff, 0x8001, 0x7c00, 0xfc00}) ==
        floats{0x1.554p-2F, 65504.0F, 0x1p-14F, 0x1.ff8p-15F, -0x1p-24F, infinity, -infinity});
  CHECK(read("BF16", {0x3eab, 0x7f7f, 0x0001, 0xff80}) ==
        floats{0x1.56p-2F, 0x1.fep127F, 0x1p-133F, -infinity});
  for (const char* type : {"F16", "BF16"}) {
    const auto special = read(type, {0x8000, 0x7fff});
    CHECK(std::bit_cast<std::uint32_t>(special[0]) == 0x80000000);
    CHECK(std::isnan(special[1]));
  }
}

TEST_CASE("empty files, empty tensors and padded headers are fine") {
  const temporary_folder folder;
  CHECK(refusal(folder.file("x"), make_file("{}", "")).empty());
  CHECK(refusal(folder.file("x"), make_file("{}      \n\t", "")).empty());
  // Empty tensors take a place between others, also the place of another one's begin or end.
  const std::string header = R"({"x":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},)"
                             R"("y":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                             R"("z":{"dtype":"F16","shape":[0],"data_offsets":[0,0]}})";
  write_bytes(folder.file("x"), make_file(header, bytes_of<float>({2.5F})));
  const safetensors_file file(folder.file("x"));
  REQUIRE(file.tensors().size() == 3);
  CHECK(file.find("x")->values.empty());
  CHECK(file.find("y")->values[0] == 2.5F);
  CHECK(file.find("z")->shape == std::vector<std::int64_t>{0});
}

TEST_CASE("tensors stay valid when the file object is moved") {
  const temporary_folder folder;
  write_bytes(folder.file("x"), sample_file());
  safetensors_file first(folder.file("x"));
  const safetensors_file second = std::move(first);
  CHECK(copy_of(*second.find("a")) == floats{1.5F, -2.0F});
}

TEST_CASE("what is not a file is refused with its path and the system's reason") {
  const temporary_folder folder;
  CHECK_THROWS_WITH_AS(
      safetensors_file(folder.file("missing")),
      ("cannot read " + folder.file("missing") + ": No such file or directory").c_str(),
      usage_error);
  CHECK_THROWS_WITH_AS(safetensors_file(folder.path().string()),
                       ("cannot read " + folder.path().string() + ": Is a directory").c_str(),
                       usage_error);
  CHECK_THROWS_AS(safetensors_file("/dev/zero"), usage_error);
}

TEST_CASE("every way to be malformed is refused in one line that says which") {
  const temporary_folder folder;
  const std::string eight(8, 'x');
  const auto tensor = [](const std::string& dtype, const std::string& shape,
                         const std::string& offsets) {
    return R"({"x":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
           "}}";
  };
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"x":{"dtype":"F32","shape":[1],"data_offsets":)" + first +
           R"(},"y":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}";
  };
  const std::string no_json = "its header is not a JSON object with unique keys";
  const std::string truncated = "not a safetensors file, or truncated";

  struct malformed {
    std::string bytes;
    std::string reason;
  };
  const malformed cases[] = {
      {"", "shorter than 8 bytes"},
      {"1234567", "shorter than 8 bytes"},
      {bytes_of<std::uint64_t>({1}), truncated},
      {bytes_of<std::uint64_t>({std::numeric_limits<std::uint64_t>::max()}) + "{}", truncated},
      {bytes_of<std::uint64_t>({std::numeric_limits<std::uint64_t>::max() - 7}) + "{}", truncated},
      {bytes_of<std::uint64_t>({0}), no_json},
      {make_file("[]", ""), no_json},
      {make_file(" {}", ""), no_json},
      {make_file("{", ""), no_json},
      {make_file("{}}", ""), no_json},
      {make_file(std::string("{}\0rest", 7), ""), no_json},
      {make_file("{\"\xff\":1}", ""), no_json},
      {make_file("{\"x\":1e999}", ""), no_json},
      {make_file("{\"x\":" + std::string(1000000, '[') + std::string(1000000, ']') + "}", ""),
       no_json},
      {make_file(R"({"x":1,"x":1})", ""), no_json},
      {make_file(R"({"__metadata__":{"k":"1","k":"2"}})", ""), no_json},
      {make_file(R"({"__metadata__":[]})", ""), "__metadata__ is not an object"},
      {make_file(R"({"__metadata__":{"k":1}})", ""), "a value that is not a string"},
      {make_file(R"({"x":1})", ""), "tensor \"x\" must have exactly dtype, shape and data_offsets"},
      {make_file(R"({"x":{"dtype":"F32","shape":[0]}})", ""), "must have exactly"},
      {make_file(R"({"x":{"dtype":"F32","shape":[0],"offsets":[0,0]}})", ""), "must have exactly"},
      {make_file(R"({"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"more":1}})", ""),
       "must have exactly"},
      {make_file(tensor("\"I64\"", "[1]", "[0,8]"), eight),
       "tensor \"x\" has the type \"I64\"; supported are F32, F16 and BF16"},
      {make_file(tensor("4", "[2]", "[0,8]"), eight), "has the type 4; supported"},
      {make_file(tensor("\"F32\"", "2", "[0,8]"), eight), "a shape that is not a list"},
      {make_file(tensor("\"F32\"", "[-2]", "[0,8]"), eight), "a shape with an entry that is not"},
      {make_file(tensor("\"F32\"", "[2.0]", "[0,8]"), eight), "a shape with an entry that is not"},
      {make_file(tensor("\"F32\"", "[\"2\"]", "[0,8]"), eight),
       "a shape with an entry that is not"},
      {make_file(tensor("\"F32\"", "[18446744073709551615]", "[0,8]"), eight), "is too large"},
      {make_file(tensor("\"F32\"", "[4294967296,4294967296]", "[0,0]"), ""), "is too large"},
      {make_file(tensor("\"F32\"", "[4611686018427387904]", "[0,0]"), ""), "do not fit its shape"},
      {make_file(tensor("\"F32\"", "[3]", "[0,8]"), eight), "has 8 bytes, which do not fit"},
      {make_file(tensor("\"F16\"", "[2]", "[0,8]"), eight), "has 8 bytes, which do not fit"},
      {make_file(tensor("\"F32\"", "[1]", "[0,7]"), eight), "has 7 bytes, which do not fit"},
      {make_file(tensor("\"F32\"", "[2]", "[8,0]"), eight), "data_offsets that are not a range"},
      {make_file(tensor("\"F32\"", "[2]", "[0]"), eight), "data_offsets that are not a range"},
      {make_file(tensor("\"F32\"", "[2]", "[0,8,8]"), eight), "data_offsets that are not a range"},
      {make_file(tensor("\"F32\"", "[2]", "[0,-8]"), eight), "a data_offsets with an entry that"},
      {make_file(tensor("\"F32\"", "[2]", "[4,12]"), eight), "ends behind the end of the file"},
      {make_file(tensor("\"F32\"", "[2]", "[18446744073709551608,18446744073709551615]"), eight),
       "ends behind the end of the file"},
      {make_file(tensor("\"F32\"", "[1]", "[4,8]"), eight), "has a gap before it"},
      {make_file(tensor("\"F32\"", "[1]", "[0,4]"), eight), "bytes that belong to no tensor"},
      {make_file(two("[0,4]", "[0,4]"), "1234"), "tensor \"y\" overlaps another one"},
      {make_file(two("[4,8]", "[2,6]"), eight), "tensor \"y\" has a gap before it"},
      {make_file(two("[2,6]", "[0,4]"), "123456"), "tensor \"x\" overlaps another one"},
      {make_file(two("[8,12]", "[0,4]"), "123456789abc"), "tensor \"x\" has a gap before it"},
      {make_file("{\"new\\nline\":1}", ""), "tensor \"new\\nline\" must have"},
  };
  const std::string path = folder.file("x.safetensors");
  for (const malformed& example : cases) {
    const std::string message = refusal(path, example.bytes);
    CAPTURE(message);
    CAPTURE(example.reason);
    CHECK(message.rfind("cannot read " + path + ": ", 0) == 0);
    CHECK(message.find(example.reason) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("a header beyond the format's limit is refused unread") {
  const temporary_folder folder;
  const std::string path = folder.file("x");
  write_bytes(path, bytes_of<std::uint64_t>({100'000'001}));
  std::filesystem::resize_file(path, 200'000'000);  // sparse: takes no room on the disk
  CHECK_THROWS_WITH_AS(safetensors_file{path},
                       ("cannot read " + path + ": not a safetensors file, or truncated: its " +
                        "header should have 100000001 bytes")
                           .c_str(),
                       usage_error);
}

TEST_CASE("a file truncated at any length is refused") {
  const temporary_folder folder;
  const std::string whole = sample_file();
  REQUIRE(refusal(folder.file("x"), whole).empty());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(refusal(folder.file("x"), whole.substr(0, length)).empty());
  }
  CHECK_FALSE(refusal(folder.file("x"), whole + '\0').empty());
}

TEST_CASE("a file with any bit flipped is refused or read in full") {
  const temporary_folder folder;
  const std::string path = folder.file("x");
  const std::string whole = sample_file();
  const std::size_t data_start = whole.size() - 14;
  std::size_t refused = 0;
  for (std::size_t place = 0; place < whole.size(); ++place) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[place] = static_cast<char>(damaged[place] ^ (1 << bit));
      write_bytes(path, damaged);
      CAPTURE(place);
      CAPTURE(bit);
      try {
        const safetensors_file file(path);
        // Only names, metadata and types of one size can change and still make a valid file.
        std::size_t elements = 0;
        for (const named_tensor& tensor : file.tensors()) elements += tensor.values.size();
        CHECK(elements == 5);
        CHECK(place >= 8);
      } catch (const usage_error&) {
        ++refused;
        CHECK(place < data_start);
      }
    }
  }
  CHECK(refused > 1000);
}

// -- writing ------------------------------------------------------------------------------------

TEST_CASE("what is written has the bytes that the format asks for") {
  const temporary_folder folder;
  const floats weight = {1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F};
  const floats scale = {-0.5F};
  write_safetensors(folder.file("x"), {{"weight", {2, 3}, weight}, {"a.scale", {}, scale}},
                    {{"updates", "17"}});
  const std::string bytes = read_bytes(folder.file("x"));
  std::uint64_t length = 0;
  REQUIRE(bytes.size() > 8);
  std::memcpy(&length, bytes.data(), 8);
  CHECK(length % 8 == 0);
  REQUIRE(bytes.size() == 8 + length + 7 * sizeof(float));

  const std::string header = bytes.substr(8, length);
  CHECK(header.front() == '{');
  CHECK(header.find_first_not_of(' ', header.rfind('}') + 1) == std::string::npos);
  CHECK(nlohmann::json::parse(header) == nlohmann::json::parse(R"({
      "__metadata__": {"updates": "17"},
      "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
      "a.scale": {"dtype": "F32", "shape": [], "data_offsets": [24, 28]}})"));
  CHECK(bytes.substr(8 + length) == bytes_of<float>({1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F, -0.5F}));
}

TEST_CASE("headers of every length are padded to 8 bytes") {
  const temporary_folder folder;
  const floats one = {1.0F};
  for (std::size_t length = 1; length <= 9; ++length) {
    const std::string name(length, 'n');
    write_safetensors(folder.file("x"), {{name, {1}, one}});
    CHECK(read_bytes(folder.file("x")).size() % 8 == 4);
    CHECK(safetensors_file(folder.file("x")).find(name) != nullptr);
  }
}

TEST_CASE("names, shapes, metadata and bits survive a round trip") {
  const temporary_folder folder;
  const floats odd = {-0.0F, std::numeric_limits<float>::denorm_min(),
                      std::numeric_limits<float>::infinity(),
                      std::numeric_limits<float>::quiet_NaN()};
  const floats none;
  const std::map<std::string, std::string> metadata = {{"quote \" \n", "ünïcode"}, {"", ""}};
  const std::string path = folder.file("x");
  write_safetensors(path, {{"z", {4, 1}, odd}, {"", {3, 0}, none}, {"a \"b\" \n", {2, 2}, odd}},
                    metadata);
  const safetensors_file file(path);
  REQUIRE(file.tensors().size() == 3);
  CHECK(file.metadata() == metadata);
  CHECK(file.tensors()[0].name == "z");
  CHECK(file.tensors()[0].shape == std::vector<std::int64_t>{4, 1});
  CHECK(file.tensors()[1].shape == std::vector<std::int64_t>{3, 0});
  CHECK(file.tensors()[2].name == "a \"b\" \n");
  for (const std::size_t i : {0, 2}) {
    REQUIRE(file.tensors()[i].values.size() == 4);
    CHECK(std::memcmp(file.tensors()[i].values.data(), odd.data(), 16) == 0);
  }

  write_safetensors(path, {});
  CHECK(safetensors_file(path).tensors().empty());
  CHECK(safetensors_file(path).metadata().empty());
}

TEST_CASE("tensors that make no valid file are refused before anything is written") {
  const temporary_folder folder;
  const std::string path = folder.file("x");
  const floats two(2);
  CHECK_THROWS_AS(write_safetensors(path, {{"a", {3}, two}}), std::invalid_argument);
  CHECK_THROWS_AS(write_safetensors(path, {{"a", {-2}, two}}), std::invalid_argument);
  CHECK_THROWS_AS(write_safetensors(path, {{"a", {2}, two}, {"a", {2}, two}}),
                  std::invalid_argument);
  CHECK_THROWS_AS(write_safetensors(path, {{"__metadata__", {2}, two}}), std::invalid_argument);
  CHECK_THROWS_AS(write_safetensors(path, {{"\xff", {2}, two}}), std::invalid_argument);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a file that cannot be created is told by path and reason") {
  const temporary_folder folder;
  write_bytes(folder.file("plain"), "");
  const std::string path = folder.file("plain/x.safetensors");
  CHECK_THROWS_WITH_AS(write_safetensors(path, {}),
                       ("cannot write " + path + ": Not a directory").c_str(), run_error);
}

TEST_CASE("a write that fails half-way leaves the old file and nothing else") {
  const temporary_folder folder;
  const std::string path = folder.file("x.safetensors");
  const floats small = {1.0F};
  const floats large(65536);
  write_safetensors(path, {{"a", {1}, small}});
  const std::string before = read_bytes(path);
  std::string message;
  try {
    const file_size_limit limit(4096);
    write_safetensors(path, {{"a", {65536}, large}});
  } catch (const run_error& error) {
    message = error.what();
  }
  CHECK(message == "cannot write " + path + ": File too large");
  CHECK(read_bytes(path) == before);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}
