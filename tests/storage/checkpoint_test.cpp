#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include <fmt/format.h>

#include "bytes/crc32c.hpp"
#include "storage/checkpoint_reader.hpp"
#include "storage/checkpoint_writer.hpp"
#include "tests/storage/file_size_limit.hpp"
#include "tests/storage/memory_file_system.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace {

using survival = memory_file_system::survival;
using fault = memory_file_system::fault;
using numbers = std::vector<std::uint64_t>;

const run_identity this_run{{std::byte{1}, std::byte{2}}, std::chrono::nanoseconds(3)};

std::vector<std::byte> random_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

std::string path_of(std::uint64_t number) {
  return fmt::format("checkpoints/{:012}.checkpoint", number);
}

/// One with two sections, in which `number` can be recognised.
void write_small(file_system& files, std::uint64_t number) {
  checkpoint_writer writer(files, "checkpoints", {this_run, number, 10 * number});
  writer.begin_section("parameters");
  writer.write(random_bytes(150, number));
  writer.begin_section("state");
  writer.write(as_bytes(std::to_string(number)));
  writer.commit();
}

/// Whether it is what write_small() wrote.
bool is_small(checkpoint_reader& reader, std::uint64_t number) {
  const std::string name = std::to_string(number);
  const byte_span state = as_bytes(name);
  return reader.header() == file_header{this_run, number, 10 * number} &&
         reader.sections().size() == 2 && reader.read("parameters") == random_bytes(150, number) &&
         reader.read("state") == std::vector<std::byte>(state.begin(), state.end());
}

/// The message of the error that reading all of it ends with.
std::string refusal(file_system& files, std::uint64_t number) {
  try {
    checkpoint_reader(files, path_of(number)).verify();
    return "no error";
  } catch (const file_error& error) {
    return error.what();
  }
}

std::string text_of(byte_span bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A checkpoint with the right checksums, whatever its manifest says.
std::string make_checkpoint(const std::string& sections, const std::string& manifest) {
  return text_of(encode(checkpoint_format, file_header{this_run, 1, 10})) + sections + manifest +
         text_of(encode(
             checkpoint_footer{64 + sections.size(), manifest.size(), crc32c(as_bytes(manifest))}));
}

}  // namespace

TEST_CASE("sections come back as they were, whatever their sizes and the slices") {
  const temporary_folder folder;
  file_system& files = posix_file_system();
  const std::string path = folder.file("checkpoints");
  const std::size_t sizes[] = {0, 1, 63, 64, 65, 1'000'003, 0};
  {
    checkpoint_writer writer(files, path, {this_run, 17, 4});
    std::mt19937_64 random(1);
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
      const std::vector<std::byte> bytes = random_bytes(sizes[i], i);
      writer.begin_section(fmt::format("section {}", i));
      for (byte_span rest(bytes); !rest.empty();) {
        const byte_span slice = rest.first(1 + random() % rest.size());
        writer.write(slice);
        if (random() % 2 == 0) writer.sync();
        rest = rest.subspan(slice.size());
      }
    }
    CHECK(list_checkpoints(files, path).empty());
    writer.commit();
  }
  CHECK(list_checkpoints(files, path) == numbers{17});
  CHECK(files.list(path).size() == 1);
  checkpoint_reader reader(files, checkpoint_path(path, 17));
  CHECK(reader.header() == file_header{this_run, 17, 4});
  REQUIRE(reader.sections().size() == std::size(sizes));
  reader.verify();
  for (std::size_t i = 0; i < std::size(sizes); ++i) {
    const checkpoint_section& section = reader.sections()[i];
    CHECK(section.name == fmt::format("section {}", i));
    CHECK(section.offset % 64 == 0);
    CHECK((reader.read(section.name) == random_bytes(sizes[i], i)));
  }
}

TEST_CASE("a checkpoint without sections is one") {
  memory_file_system files;
  checkpoint_writer(files, "checkpoints", {this_run, 1, 0}).commit();
  CHECK(checkpoint_reader(files, path_of(1)).sections().empty());
}

TEST_CASE("a section is only given to who knows its name and size") {
  memory_file_system files;
  write_small(files, 1);
  checkpoint_reader reader(files, path_of(1));
  CHECK(reader.find("state") != nullptr);
  CHECK(reader.find("stat") == nullptr);
  CHECK_THROWS_WITH_AS(reader.read("stat"),
                       ("cannot read " + path_of(1) + ": it has no section \"stat\"").c_str(),
                       file_error);
  std::vector<std::byte> wrong(149);
  CHECK_THROWS_WITH_AS(
      reader.read("parameters", wrong),
      ("cannot read " + path_of(1) + ": its section \"parameters\" has 150 bytes instead of 149")
          .c_str(),
      file_error);
}

TEST_CASE("a writer refuses a section that repeats, and bytes of none") {
  memory_file_system files;
  checkpoint_writer writer(files, "checkpoints", {this_run, 1, 0});
  CHECK_THROWS_AS(writer.write({}), std::logic_error);
  writer.begin_section("a");
  CHECK_THROWS_AS(writer.begin_section("a"), std::invalid_argument);
}

TEST_CASE("one that is not committed leaves no trace") {
  memory_file_system files;
  { checkpoint_writer(files, "checkpoints", {this_run, 1, 0}).begin_section("a"); }
  CHECK(files.list("checkpoints").empty());
}

TEST_CASE("any byte changed is an error that names the file and the place") {
  memory_file_system files;
  write_small(files, 1);
  const std::string whole = files.content(path_of(1));
  REQUIRE(refusal(files, 1) == "no error");
  for (std::size_t place = 0; place < whole.size(); ++place) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      CAPTURE(place);
      std::string damaged = whole;
      damaged[place] = static_cast<char>(damaged[place] ^ mask);
      files.set_content(path_of(1), damaged);
      CHECK(refusal(files, 1).rfind("cannot read " + path_of(1) + ": at byte ", 0) == 0);
    }
  }
}

TEST_CASE("a checkpoint cut at any length, or with more behind it, is an error") {
  memory_file_system files;
  write_small(files, 1);
  const std::string whole = files.content(path_of(1));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    files.set_content(path_of(1), whole.substr(0, length));
    CHECK(refusal(files, 1).rfind("cannot read " + path_of(1) + ": at byte ", 0) == 0);
  }
  for (const std::size_t more : {1, 8, 64}) {
    files.set_content(path_of(1), whole + std::string(more, '\0'));
    CHECK(refusal(files, 1) != "no error");
  }
}

TEST_CASE("a damaged section is found when it is read, and leaves the others readable") {
  memory_file_system files;
  write_small(files, 1);
  std::string damaged = files.content(path_of(1));
  damaged[64 + 149] = static_cast<char>(damaged[64 + 149] ^ 1);
  files.set_content(path_of(1), damaged);
  checkpoint_reader reader(files, path_of(1));
  CHECK(reader.read("state").size() == 1);
  CHECK_THROWS_WITH_AS(reader.read("parameters"),
                       ("cannot read " + path_of(1) +
                        ": at byte 64: the checksum of its section \"parameters\" is "
                        "wrong")
                           .c_str(),
                       file_error);
}

TEST_CASE("a manifest that is intact but cannot be is refused without taking memory") {
  memory_file_system files;
  const std::string data(64, 'd');
  const std::uint32_t sum = crc32c(as_bytes(data));
  const auto with = [&](const std::string& sections, const std::string& manifest) {
    files.set_content(path_of(1), make_checkpoint(sections, manifest));
    return refusal(files, 1);
  };
  const auto listed = [](std::vector<checkpoint_section> sections) {
    return text_of(encode_manifest(sections));
  };
  const std::uint64_t huge = ~std::uint64_t{0};
  CHECK(with(data, listed({{"a", 64, 64, sum}})) == "no error");
  CHECK(with("", listed({})) == "no error");
  const std::string cannot = "where it cannot be";
  for (const auto& sections : std::vector<std::vector<checkpoint_section>>{
           {{"a", 0, 64, sum}},
           {{"a", 65, 63, sum}},
           {{"a", 128, 0, 0}},
           {{"a", 64, 65, sum}},
           {{"a", 64, huge, sum}},
           {{"a", huge - 63, 64, sum}},
           {{"a", 64, 0, 0}, {"a", 64, 64, sum}},
           {{"a", 64, 64, sum}, {"b", 64, 64, sum}},
       }) {
    CHECK(with(data, listed(sections)).find(cannot) != std::string::npos);
  }
  CHECK(with(data, listed({})).find("bytes follow that belong to no section") != std::string::npos);
  CHECK(with(data, listed({{"a", 64, 63, crc32c(as_bytes(data).first(63))}})) ==
        "cannot read " + path_of(1) + ": at byte 127: bytes between two sections are not zero");
  CHECK(with(data, std::string(8, '\xff')).find("it is too short") != std::string::npos);
  CHECK(with(data, "").find("it is too short") != std::string::npos);
  CHECK(with(data, listed({{"a", 64, 64, sum}}) + '\0').find("it is too long") !=
        std::string::npos);
}

// -- a folder of them ---------------------------------------------------------------------------

TEST_CASE("the newest that is whole is taken, and those passed over are told") {
  memory_file_system files;
  files.create_folder("checkpoints");
  CHECK_FALSE(newest_valid(files, "checkpoints").header);
  for (const std::uint64_t number : {1, 2, 3, 11}) write_small(files, number);
  CHECK(newest_valid(files, "checkpoints").header->number == 11);
  CHECK(newest_valid(files, "checkpoints").skipped.empty());

  std::string damaged = files.content(path_of(11));
  damaged[64] = static_cast<char>(damaged[64] ^ 1);
  files.set_content(path_of(11), damaged);
  files.set_content(path_of(3), files.content(path_of(2)));
  const restored_checkpoint result = newest_valid(files, "checkpoints");
  REQUIRE(result.header);
  CHECK(result.header->number == 2);
  CHECK(result.skipped ==
        std::vector<std::string>{
            "cannot read " + path_of(11) +
                ": at byte 64: the checksum of its section "
                "\"parameters\" is wrong",
            "cannot read " + path_of(3) + ": at byte 0: it is checkpoint 2 by its header"});

  files.set_content(path_of(1), "");
  files.set_content(path_of(2), "");
  CHECK_FALSE(newest_valid(files, "checkpoints").header);
  CHECK(newest_valid(files, "checkpoints").skipped.size() == 4);
}

TEST_CASE("who loads a checkpoint can refuse it, and other errors are not swallowed") {
  memory_file_system files;
  for (const std::uint64_t number : {1, 2}) write_small(files, number);
  const restored_checkpoint result =
      restore_newest(files, "checkpoints", [](checkpoint_reader& reader) {
        if (reader.header().number == 2) throw file_error("use", reader.path(), "it is not ours");
      });
  CHECK(result.header->number == 1);
  CHECK(result.skipped ==
        std::vector<std::string>{"cannot use " + path_of(2) + ": it is not ours"});
  CHECK_THROWS_AS(restore_newest(files, "checkpoints",
                                 [](checkpoint_reader&) { throw usage_error("another model"); }),
                  usage_error);
}

TEST_CASE("the newest are kept, at least one, and leftovers go") {
  memory_file_system files;
  for (const std::uint64_t number : {0, 8, 9, 10, 11}) write_small(files, number);
  files.set_content(path_of(12) + ".partial-1-1", "left");
  keep_newest(files, "checkpoints", 3, true);
  CHECK(list_checkpoints(files, "checkpoints") == numbers{0, 9, 10, 11});
  CHECK(files.list("checkpoints").size() == 4);
  keep_newest(files, "checkpoints", 3);
  CHECK(list_checkpoints(files, "checkpoints") == numbers{9, 10, 11});
  CHECK(files.list("checkpoints").size() == 3);
  keep_newest(files, "checkpoints", 5);
  CHECK(list_checkpoints(files, "checkpoints") == numbers{9, 10, 11});
  keep_newest(files, "checkpoints", 0);
  CHECK(list_checkpoints(files, "checkpoints") == numbers{11});
}

TEST_CASE("after a crash at any operation the last committed checkpoint or a newer one is whole") {
  for (const survival what : {survival::nothing, survival::everything, survival::chance}) {
    for (std::uint64_t operation = 1;; ++operation) {
      CAPTURE(operation);
      memory_file_system files;
      files.create_folder("checkpoints");
      std::uint64_t committed = 0;
      bool done = false;
      files.fail_at(operation, fault::crash);
      try {
        for (std::uint64_t number = 1; number <= 4; ++number) {
          write_small(files, number);
          committed = number;
          keep_newest(files, "checkpoints", 2);
        }
        done = true;
      } catch (const power_cut&) {
        files.restart(what, operation);
      }
      const restored_checkpoint result = restore_newest(
          files, "checkpoints",
          [](checkpoint_reader& reader) { CHECK(is_small(reader, reader.header().number)); });
      CHECK(result.skipped.empty());
      CHECK((result.header ? result.header->number : 0) >= committed);
      if (done) break;
    }
  }
}

TEST_CASE("a disk that fails at any operation is told, and older checkpoints stay whole") {
  for (const fault what : {fault::disk_full, fault::io_error}) {
    for (std::uint64_t operation = 1;; ++operation) {
      CAPTURE(operation);
      memory_file_system files;
      write_small(files, 1);
      files.fail_at(operation, what);
      std::string message;
      try {
        write_small(files, 2);
        break;
      } catch (const file_error& error) {
        message = error.what();
      }
      CHECK(message ==
            "cannot write " + path_of(2) +
                (what == fault::disk_full ? ": No space left on device" : ": Input/output error"));
      const restored_checkpoint result = newest_valid(files, "checkpoints");
      CHECK(result.skipped.empty());
      CHECK(result.header->number >= 1);
    }
  }
}

TEST_CASE("on a real disk that is full a checkpoint leaves nothing behind") {
  const temporary_folder folder;
  const std::string path = folder.file("checkpoints");
  std::string message;
  try {
    const file_size_limit limit(100'000);
    checkpoint_writer writer(posix_file_system(), path, {this_run, 1, 0});
    writer.begin_section("parameters");
    writer.write(random_bytes(200'000, 1));
  } catch (const file_error& error) {
    message = error.what();
  }
  CHECK(message == "cannot write " + checkpoint_path(path, 1) + ": File too large");
  CHECK(posix_file_system().list(path).empty());
}
