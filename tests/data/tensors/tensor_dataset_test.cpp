#include "data/tensors/tensor_dataset.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include "config/error.hpp"
#include "tests/data/temporary_folder.hpp"
#include "tests/data/tensors/tensor_files.hpp"

using namespace rubato;
using namespace rubato::test;

namespace {

/// Examples `first` ... `first + count - 1`: "x" of two floats, the number and its half, and "y",
/// the number.
std::vector<float> points(int first, int count) {
  std::vector<float> values;
  for (int i = first; i < first + count; ++i) {
    values.push_back(static_cast<float>(i));
    values.push_back(static_cast<float>(i) / 2.0F);
  }
  return values;
}

std::vector<std::int64_t> numbers(int first, int count) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return values;
}

std::string examples_file(int first, int count) {
  return safetensors({{"y", "I64", fmt::to_string(count), bytes_of(numbers(first, count))},
                      {"x", "F32", fmt::format("{}, 2", count), bytes_of(points(first, count))}});
}

config settings(const std::vector<std::string>& paths) {
  config c;
  c.data.kind = "tensors";
  for (const auto& path : paths) c.data.paths.push_back({path});
  c.data.tensors = {"x", "y"};
  c.data.batch_size = 4;
  c.data.held_out = 0.2;
  c.data.shards = 3;
  c.evaluate.batches = 2;
  return c;
}

template <class T>
std::vector<T> values_of(const tensor_values& tensor) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

/// The numbers of a batch's examples, whose tensors belong together.
std::vector<std::int64_t> examples_of(const batch& b) {
  REQUIRE(b.tensors.size() == 2);
  CHECK(b.tensors[0].type == element_type::f32);
  CHECK(b.tensors[0].shape == std::vector<std::int64_t>{b.examples, 2});
  CHECK(b.tensors[1].type == element_type::i64);
  CHECK(b.tensors[1].shape == std::vector<std::int64_t>{b.examples});
  auto result = values_of<std::int64_t>(b.tensors[1]);
  const auto x = values_of<float>(b.tensors[0]);
  REQUIRE(x.size() == 2 * result.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    CHECK(x[2 * i] == static_cast<float>(result[i]));
    CHECK(x[2 * i + 1] == static_cast<float>(result[i]) / 2.0F);
  }
  return result;
}

/// What is trained on in an epoch of a shard whose size is a multiple of the batch's.
std::multiset<std::int64_t> epoch(const dataset& data, std::size_t shard, std::uint64_t number) {
  std::multiset<std::int64_t> seen;
  const auto batches = data.shard_size(shard) / 4;
  for (auto i = number * batches; i < (number + 1) * batches; ++i) {
    const auto b = data.training_batch(shard, i);
    CHECK(b.examples == 4);
    for (const auto example : examples_of(b)) seen.insert(example);
  }
  return seen;
}

std::string refusal(const config& c, const temporary_folder& folder) {
  try {
    tensor_dataset data(c);
  } catch (const usage_error& error) {
    std::string text = error.what();
    const auto prefix = folder.string() + "/";
    for (auto at = text.find(prefix); at != text.npos; at = text.find(prefix)) {
      text.erase(at, prefix.size());
    }
    return text;
  }
  return "";
}

}  // namespace

TEST_CASE("examples of all files are dealt to shards, and those held out are never trained on") {
  const temporary_folder folder;
  // 60 in all: 12 held out, 16 to train on in each of three shards.
  const auto c = settings({folder.write("a.safetensors", examples_file(0, 50)),
                           folder.write("b.safetensors", examples_file(50, 10))});
  const tensor_dataset data(c);
  REQUIRE(data.shards() == 3);
  CHECK(data.shape().tensors == 2);
  CHECK(data.shape().features == 0);
  CHECK(data.tokens_per_batch() == 4);
  CHECK(data.bytes_per_token() == 0.0);
  std::multiset<std::int64_t> all;
  for (std::size_t shard = 0; shard < 3; ++shard) {
    CHECK(data.shard_size(shard) == 16);
    const auto first = epoch(data, shard, 0);
    CHECK(epoch(data, shard, 1) == first);
    CHECK(examples_of(data.training_batch(shard, 0)) != examples_of(data.training_batch(shard, 4)));
    all.insert(first.begin(), first.end());
    REQUIRE(data.held_out(shard).size() == 1);
    for (const auto example : examples_of(data.held_out(shard)[0])) all.insert(example);
    const auto info = data.info(shard);
    CHECK(info.name == fmt::format("examples {}", shard));
    CHECK(info.training_size == 16);
    CHECK(info.held_out_size == 4);
    CHECK(info.files == 2);
  }
  CHECK(all.size() == 60);
  CHECK(std::set<std::int64_t>(all.begin(), all.end()).size() == 60);
}

TEST_CASE("a seed decides on the order alone, and the same one always on the same") {
  const temporary_folder folder;
  auto c = settings({folder.write("a.safetensors", examples_file(0, 60))});
  const tensor_dataset data(c), same(c);
  c.run.seed = 2;
  const tensor_dataset other(c);
  const auto batch_of = [](const dataset& d) { return examples_of(d.training_batch(1, 3)); };
  CHECK(batch_of(data) == batch_of(same));
  CHECK(batch_of(data) != batch_of(other));
  CHECK(epoch(data, 1, 0) == epoch(other, 1, 0));
  CHECK(examples_of(data.held_out(1)[0]) == examples_of(other.held_out(1)[0]));
}

TEST_CASE("with data.split = files each entry is a shard") {
  const temporary_folder folder;
  folder.write("many/a.safetensors", examples_file(100, 6));
  folder.write("many/b.safetensors", examples_file(106, 4));
  folder.write("many/README", "not read");
  auto c = settings({folder.write("few.safetensors", examples_file(0, 5)), folder / "many"});
  c.data.split = "files";
  const tensor_dataset data(c);
  REQUIRE(data.shards() == 2);
  CHECK(data.info(0).name == "few.safetensors");
  CHECK(data.info(1).name == "many");
  CHECK(data.info(1).files == 2);
  CHECK(data.shard_size(0) == 4);
  CHECK(data.shard_size(1) == 8);
  for (const auto example : epoch(data, 0, 0)) CHECK(example < 5);
  for (const auto example : epoch(data, 1, 0)) CHECK(example >= 100);
  REQUIRE(data.held_out(0).size() == 1);
  CHECK(data.held_out(0)[0].examples == 1);  // there are not enough for a whole batch
  CHECK(data.held_out(1)[0].examples == 2);
}

TEST_CASE("examples to evaluate on may have files of their own") {
  const temporary_folder folder;
  auto c = settings({folder.write("a.safetensors", examples_file(0, 12))});
  c.data.held_out_paths = {{folder.write("b.safetensors", examples_file(100, 14))}};
  const tensor_dataset data(c);
  std::multiset<std::int64_t> trained, evaluated;
  for (std::size_t shard = 0; shard < 3; ++shard) {
    CHECK(data.shard_size(shard) == 4);
    for (const auto example : epoch(data, shard, 0)) trained.insert(example);
    for (const auto& b : data.held_out(shard)) {
      for (const auto example : examples_of(b)) evaluated.insert(example);
    }
  }
  CHECK(std::set<std::int64_t>(trained.begin(), trained.end()).size() == 12);
  CHECK(*trained.rbegin() == 11);
  CHECK(evaluated.size() == 12);  // a batch of four of each share, and none of fewer
  CHECK(*evaluated.begin() >= 100);
  c.data.held_out_paths = {{folder.write("c.safetensors", examples_file(0, 2))}};
  CHECK(refusal(c, folder) == "data.held_out_paths: 2 examples are too few for 3 shards");
  c.data.held_out_paths = {{folder / "gone"}};
  CHECK(refusal(c, folder).starts_with("data.held_out_paths: \""));
}

TEST_CASE("who only trains needs no files to evaluate on, and trains on the same examples") {
  const temporary_folder folder;
  auto c = settings({folder.write("a.safetensors", examples_file(0, 12))});
  c.data.held_out_paths = {{folder.write("b.safetensors", examples_file(100, 12))}};
  const tensor_dataset all(c);
  c.data.held_out_paths = {{folder / "elsewhere"}};
  CHECK(refusal(c, folder).find("elsewhere") != std::string::npos);
  const auto training = make_dataset(c, data_use::training);
  REQUIRE(training->shards() == 3);
  for (std::size_t shard = 0; shard < 3; ++shard) {
    CHECK(training->shard_size(shard) == 4);
    CHECK(training->held_out(shard).empty());
    CHECK(epoch(*training, shard, 0) == epoch(all, shard, 0));
  }
}

TEST_CASE("files of NumPy in a folder belong together, and give what one file would") {
  const temporary_folder folder;
  folder.write("a/x.npy", npy("<f4", "60, 2", bytes_of(points(0, 60))));
  folder.write("a/y.npy", npy("<i8", "60,", bytes_of(numbers(0, 60))));
  folder.write("a/unused.npy", npy("<i8", "3,", bytes_of(numbers(0, 3))));
  const tensor_dataset arrays(settings({folder / "a"}));
  const tensor_dataset tensors(settings({folder.write("b.safetensors", examples_file(0, 60))}));
  for (std::uint64_t position = 0; position < 5; ++position) {
    CHECK(examples_of(arrays.training_batch(2, position)) ==
          examples_of(tensors.training_batch(2, position)));
  }
}

TEST_CASE("folders below a folder are parts of their own") {
  const temporary_folder folder;
  for (const auto& [name, first, count] :
       {std::tuple("a/0", 0, 20), std::tuple("a", 20, 20), std::tuple("a/z", 40, 20)}) {
    folder.write(fmt::format("{}/x.npy", name),
                 npy("<f4", fmt::format("{}, 2", count), bytes_of(points(first, count))));
    folder.write(fmt::format("{}/y.npy", name),
                 npy("<i8", fmt::format("{},", count), bytes_of(numbers(first, count))));
  }
  const tensor_dataset data(settings({folder / "a"}));
  std::set<std::int64_t> all;
  for (std::size_t shard = 0; shard < 3; ++shard) {
    const auto seen = epoch(data, shard, 0);
    all.insert(seen.begin(), seen.end());
  }
  CHECK(all.size() == 48);
}

TEST_CASE("a tensor may be named twice, and a boolean is 0 or 1 whatever the file has") {
  const temporary_folder folder;
  auto c = settings({folder.write(
      "a.safetensors",
      safetensors({{"b", "BOOL", "8, 3", std::string(24, '\7')}, {"skip", "F8_E4M3", "1", "v"}}))});
  c.data.tensors = {"b", "b"};
  c.data.shards = 1;
  const auto b = tensor_dataset(c).training_batch(0, 0);
  REQUIRE(b.tensors.size() == 2);
  CHECK(b.tensors[0].shape == std::vector<std::int64_t>{4, 3});
  CHECK(values_of<char>(b.tensors[0]) == std::vector<char>(12, '\1'));
  CHECK(b.tensors[1].bytes == b.tensors[0].bytes);
}

TEST_CASE("files that do not fit together are refused, with file and tensor") {
  const temporary_folder folder;
  const auto good = folder.write("good.safetensors", examples_file(0, 60));
  const auto with = [&](const std::string& name, const std::string& bytes) {
    return refusal(settings({good, folder.write(name, bytes)}), folder);
  };
  CHECK(with("cut.safetensors", examples_file(0, 9).substr(0, 200)) ==
        "cannot read cut.safetensors: tensor \"x\" ends behind the end of the file, which seems to "
        "be truncated");
  CHECK(with("a/x.npy", npy("<f4", "60, 2", "cut")) ==
        "cannot read a/x.npy: its values should have 480 bytes, but there are 3: it has been cut "
        "short");
  CHECK(with("b/x.npy", npy("<f4", "9, 2", bytes_of(points(0, 9)))) ==
        "data.tensors: there is no tensor \"y\" in b/x.npy");
  folder.write("c/y.npy", npy("<i8", "8,", bytes_of(numbers(0, 8))));
  folder.write("c/x.npy", npy("<f4", "9, 2", bytes_of(points(0, 9))));
  CHECK(refusal(settings({folder / "c"}), folder) ==
        "tensor \"y\" of c/y.npy has 8 examples, but tensor \"x\" of c/x.npy has 9");
  CHECK(with("d.safetensors", safetensors({{"x", "F32", "1, 3", std::string(12, 'v')},
                                           {"y", "I64", "1", std::string(8, 'v')}})) ==
        "tensor \"x\" of d.safetensors has F32 [3] for an example, but tensor \"x\" of "
        "good.safetensors has F32 [2]");
  CHECK(with("e.safetensors", safetensors({{"x", "F32", "1, 2", std::string(8, 'v')},
                                           {"y", "I32", "1", std::string(4, 'v')}})) ==
        "tensor \"y\" of e.safetensors has I32 [] for an example, but tensor \"y\" of "
        "good.safetensors has I64 []");
  CHECK(with("f.safetensors", safetensors({{"x", "F32", "", std::string(4, 'v')}})) ==
        "tensor \"x\" of f.safetensors has the shape []; its first dimension must be the number of "
        "examples, at least 1");
  CHECK(
      with("g.safetensors", safetensors({{"x", "F32", "0, 2", ""}})) ==
      "tensor \"x\" of g.safetensors has the shape [0, 2]; its first dimension must be the number "
      "of examples, at least 1");
  CHECK(with("h.safetensors", safetensors({{"x", "U64", "1", std::string(8, 'v')}})) ==
        "cannot read h.safetensors: tensor \"x\" has the type U64; supported are F64, F32, F16, "
        "BF16, I64, I32, I16, I8, U8 and BOOL");
  CHECK(with("notes.txt", "words") ==
        "data.paths, shard 1: there is no .safetensors or .npy file; correct the path");
}

TEST_CASE("too few examples are refused, as many as are needed are not") {
  const temporary_folder folder;
  const auto c = settings({folder.write("a.safetensors", examples_file(0, 14))});
  CHECK(refusal(c, folder) ==
        "data.paths: 14 examples are too few: a batch to train on (data.batch_size = 4) and one "
        "example to evaluate on for each of 3 shards take at least 15");
  folder.write("a.safetensors", examples_file(0, 15));
  CHECK(refusal(c, folder) == "");
}
