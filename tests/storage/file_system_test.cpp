#include "storage/file_system.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <functional>
#include <thread>

#include "storage/file_io.hpp"
#include "tests/storage/file_size_limit.hpp"
#include "tests/storage/memory_file_system.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace fs = std::filesystem;

namespace {

using names = std::vector<std::string>;
using survival = memory_file_system::survival;
using fault = memory_file_system::fault;

void append(writable_file& file, std::string_view text) {
  const byte_span bytes = as_bytes(text);
  file.append({&bytes, 1});
}

std::string read_all(file_system& files, const std::string& path) {
  const auto file = files.open_to_read(path);
  std::string text(file->size(), '\0');
  file->read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

/// What any file system must do, in an empty folder of it.
void check_contract(file_system& files, const std::string& folder) {
  const std::string a = folder + "/a";
  {
    const auto file = files.open_to_append(a);
    CHECK(file->size() == 0);
    const byte_span pieces[] = {as_bytes("one "), {}, as_bytes("two")};
    file->append(pieces);
    CHECK(file->size() == 7);
    file->sync();
    CHECK(read_all(files, a) == "one two");
    file->truncate(3);
    append(*file, "!");
    CHECK(file->size() == 4);
  }
  {
    const auto file = files.open_to_append(a);
    CHECK(file->size() == 4);
    append(*file, "?");
    file->append({});
  }
  CHECK(read_all(files, a) == "one!?");
  const auto file = files.open_to_read(a);
  std::string part(2, ' ');
  file->read(2, std::as_writable_bytes(std::span(part)));
  CHECK(part == "e!");
  CHECK_THROWS_AS(file->read(4, std::as_writable_bytes(std::span(part))), file_error);

  append(*files.open_to_append(folder + "/b"), "b");
  CHECK(files.list(folder) == names{"a", "b"});
  files.rename(a, folder + "/b");
  files.sync_folder(folder);
  CHECK(files.list(folder) == names{"b"});
  CHECK(read_all(files, folder + "/b") == "one!?");

  files.create_folder(folder + "/more");
  files.create_folder(folder + "/more");
  CHECK(files.list(folder + "/more").empty());
  CHECK(files.list(folder) == names{"b"});
  files.remove(folder + "/b");
  CHECK(files.list(folder).empty());
  CHECK_THROWS_AS(files.open_to_read(a), file_error);
  CHECK_THROWS_AS(files.list(folder + "/none"), file_error);
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const file_error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("the system's files and those in memory do the same") {
  const temporary_folder folder;
  check_contract(posix_file_system(), folder.path().string());
  memory_file_system files;
  files.create_folder("run");
  check_contract(files, "run");
}

TEST_CASE("an append of many and of large pieces is written in order and in full") {
  const temporary_folder folder;
  std::string expected;
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) texts.push_back(std::to_string(i) + ' ');
  texts.emplace_back(3'000'000, 'x');
  std::vector<byte_span> pieces;
  for (const std::string& text : texts) {
    pieces.push_back(as_bytes(text));
    expected += text;
  }
  posix_file_system().open_to_append(folder.file("x"))->append(pieces);
  CHECK(read_bytes(folder.file("x")) == expected);
}

TEST_CASE("an append goes on after a write that was cut short or interrupted by a signal") {
  const temporary_folder folder;
  const std::string pipe = folder.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::vector<std::string> texts;
  std::string expected;
  for (int i = 0; i < 4; ++i) {
    texts.emplace_back();
    for (int j = 0; j < 100'000; ++j) texts.back() += std::to_string(i * j);
    expected += texts.back();
  }
  std::vector<byte_span> pieces;
  for (const std::string& text : texts) pieces.push_back(as_bytes(text));

  struct sigaction interrupt {};
  interrupt.sa_handler = [](int) {};  // without SA_RESTART
  struct sigaction before {};
  ::sigaction(SIGUSR1, &interrupt, &before);
  const pthread_t writer = ::pthread_self();
  std::string read;
  std::thread reader([&] {
    const int end = ::open(pipe.c_str(), O_RDONLY);
    std::array<char, 5000> part;
    for (ssize_t got = 1; got > 0;) {
      got = ::read(end, part.data(), part.size());
      if (got > 0) read.append(part.data(), static_cast<std::size_t>(got));
      if (got > 0) ::pthread_kill(writer, SIGUSR1);
    }
    ::close(end);
  });
  posix_file_system().open_to_append(pipe)->append(pieces);
  reader.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  CHECK((read == expected));
}

TEST_CASE("every failure of the system is told by what was done, path and reason") {
  const temporary_folder folder;
  file_system& files = posix_file_system();
  write_bytes(folder.file("plain"), "");
  const std::string below = folder.file("plain/x");
  const std::string missing = folder.file("missing");
  CHECK(message_of([&] { files.open_to_read(missing); }) ==
        "cannot read " + missing + ": No such file or directory");
  CHECK(message_of([&] { files.open_to_append(below); }) ==
        "cannot write " + below + ": Not a directory");
  CHECK(message_of([&] { files.open_to_append(folder.path().string()); }) ==
        "cannot write " + folder.path().string() + ": Is a directory");
  CHECK(message_of([&] { append(*files.open_to_append("/dev/full"), "x"); }) ==
        "cannot write /dev/full: No space left on device");
  CHECK(message_of([&] { files.rename(missing, below); }) ==
        "cannot rename " + missing + " to " + below + ": Not a directory");
  CHECK(message_of([&] { files.remove(missing); }) ==
        "cannot remove " + missing + ": No such file or directory");
  CHECK(message_of([&] { files.sync_folder(missing); }) ==
        "cannot sync " + missing + ": No such file or directory");
  CHECK(message_of([&] { files.create_folder(below); }) ==
        "cannot create " + below + ": Not a directory");
  CHECK(message_of([&] { files.create_folder(folder.file("plain")); }) ==
        "cannot create " + folder.file("plain") + ": File exists");
  CHECK(message_of([&] { files.list(missing); }) ==
        "cannot list " + missing + ": No such file or directory");
}

TEST_CASE("what is no plain file is not read, and does not block") {
  const temporary_folder folder;
  const std::string pipe = folder.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::string& path : {pipe, folder.path().string(), std::string("/dev/zero")}) {
    CHECK(message_of([&] { posix_file_system().open_to_read(path); }) ==
          "cannot read " + path + ": it is not a plain file");
  }
}

TEST_CASE("after an append that failed half-way the size is what was written") {
  const temporary_folder folder;
  const auto file = posix_file_system().open_to_append(folder.file("x"));
  append(*file, "12345");
  {
    const file_size_limit limit(8);
    CHECK(message_of([&] { append(*file, "6789"); }) ==
          "cannot write " + folder.file("x") + ": File too large");
  }
  CHECK(file->size() == 8);
  CHECK(read_bytes(folder.file("x")) == "12345678");
}

// -- numbered and left-over files ---------------------------------------------------------------

TEST_CASE("numbered files are listed by number, others are not") {
  memory_file_system files;
  for (const char* name : {"000000000010.x", "000000000009.x", "1000000000000.x", "000000000003.y",
                           "3.x", "0000000000003.x", "000000000003.x.partial-1-2", ".x", "x"}) {
    files.set_content(std::string("run/") + name, "");
  }
  CHECK(numbered_path("run", 7, ".x") == "run/000000000007.x");
  CHECK(list_numbered(files, "run", ".x") == std::vector<std::uint64_t>{9, 10, 1000000000000});
}

TEST_CASE("what a killed process left of an atomic file is removed, and nothing else") {
  memory_file_system files;
  files.create_folder("run");
  files.set_content("run/x", "old");
  files.fail_at(2, fault::crash);
  CHECK_THROWS_AS(atomic_file("run/x", files).write("new"), power_cut);
  files.restart(survival::everything);
  REQUIRE(files.list("run").size() == 2);
  remove_leftovers(files, "run");
  CHECK(files.list("run") == names{"x"});
  CHECK(files.content("run/x") == "old");
}

TEST_CASE("an atomic file is old or new after a power cut at any moment") {
  for (const survival what : {survival::nothing, survival::everything, survival::chance}) {
    for (std::uint64_t operation = 1;; ++operation) {
      CAPTURE(operation);
      memory_file_system files;
      files.set_content("run/x", "old");
      files.fail_at(operation, fault::crash);
      bool done = false;
      try {
        atomic_file file("run/x", files);
        file.write("brand ");
        file.write("new");
        file.commit();
        done = true;
      } catch (const power_cut&) {
        files.restart(what, operation);
      }
      const std::string content = files.content("run/x");
      CHECK((content == "brand new" || (content == "old" && !done)));
      if (done) break;
    }
  }
}

// -- the file system that loses power -----------------------------------------------------------

TEST_CASE("a power cut takes what was not synced: bytes, names, renames and removals") {
  memory_file_system files;
  files.create_folder("run");
  files.set_content("run/old", "old");
  files.set_content("run/gone", "gone");
  const auto kept = files.open_to_append("run/kept");
  append(*kept, "12");
  kept->sync();
  files.sync_folder("run");
  append(*kept, "34");
  files.open_to_append("run/unnamed")->sync();
  files.rename("run/old", "run/renamed");
  files.remove("run/gone");
  CHECK(files.list("run") == names{"kept", "renamed", "unnamed"});

  files.restart(survival::everything);
  CHECK(files.content("run/kept") == "1234");
  CHECK(files.list("run") == names{"kept", "renamed", "unnamed"});
  files.restart(survival::nothing);
  CHECK(files.content("run/kept") == "12");
  CHECK(files.list("run") == names{"gone", "kept", "old"});
}

TEST_CASE("a power cut can leave holes, but not in what was synced") {
  bool shorter = false;
  bool holes = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    memory_file_system files;
    files.create_folder("run");
    const auto file = files.open_to_append("run/x");
    append(*file, std::string(100, 'a'));
    file->sync();
    files.sync_folder("run");
    append(*file, std::string(2000, 'b'));
    files.restart(survival::chance, seed);
    const std::string content = files.content("run/x");
    REQUIRE(content.size() >= 100);
    CHECK(content.substr(0, 100) == std::string(100, 'a'));
    shorter |= content.size() < 2100;
    const std::size_t hole = content.find('\0');
    holes |= hole != std::string::npos && content.find('b', hole) != std::string::npos;
  }
  CHECK(shorter);
  CHECK(holes);
}
