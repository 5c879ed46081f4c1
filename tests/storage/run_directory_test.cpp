#include "storage/run_directory.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <set>

#include "config/error.hpp"
#include "tests/storage/file_size_limit.hpp"
#include "tests/storage/memory_file_system.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace fs = std::filesystem;

namespace {

/// Works in a folder until the end of its scope.
class working_in {
 public:
  explicit working_in(const fs::path& folder) : before_(fs::current_path()) {
    fs::current_path(folder);
  }
  ~working_in() {
    std::error_code ignored;
    fs::current_path(before_, ignored);
  }

 private:
  fs::path before_;
};

/// `text` with # for every digit.
std::string pattern_of(std::string text) {
  for (char& letter : text) {
    if (letter >= '0' && letter <= '9') letter = '#';
  }
  return text;
}

}  // namespace

TEST_CASE("a run directory is created with its parents") {
  const temporary_folder folder;
  const run_directory run(folder.file("a/b/c"), "unused");
  CHECK(run.path() == folder.file("a/b/c"));
  CHECK(fs::is_directory(folder.file("a/b/c")));
  CHECK(run.file("config.toml") == folder.file("a/b/c/config.toml"));
  CHECK(fs::is_empty(run.path()));
}

TEST_CASE("without a path, runs of one second and one name get folders of their own") {
  const temporary_folder folder;
  const working_in place(folder.path());
  std::set<std::string> paths;
  for (int i = 0; i < 4; ++i) {
    const run_directory run("", "toy");
    CHECK(pattern_of(run.path()).rfind("runs/toy-########-######", 0) == 0);
    CHECK(fs::is_directory(run.path()));
    paths.insert(run.path());
  }
  CHECK(paths.size() == 4);
}

TEST_CASE("a name that is no folder name is refused") {
  const temporary_folder folder;
  const working_in place(folder.path());
  CHECK_THROWS_WITH_AS(run_directory("", "../toy"),
                       "run.name = \"../toy\" cannot name a folder; it must be non-empty and "
                       "without \"/\"",
                       usage_error);
  CHECK_THROWS_AS(run_directory("", ""), usage_error);
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a folder that holds a run is refused, one that holds something else is not") {
  for (const std::string name : {"config.toml", "metrics.jsonl", "updates.jsonl", "summary.json"}) {
    const temporary_folder folder;
    write_bytes(folder.file(name), "");
    CHECK_THROWS_WITH_AS(
        run_directory(folder.path().string(), "toy"),
        ("run.directory = \"" + folder.path().string() + "\" already holds a run (" + name +
         " is there); give another folder, or none for a new one under runs/")
            .c_str(),
        usage_error);
  }
  const temporary_folder folder;
  write_bytes(folder.file("notes.txt"), "mine");
  CHECK_NOTHROW(run_directory(folder.path().string(), "toy"));
  CHECK(read_bytes(folder.file("notes.txt")) == "mine");
}

TEST_CASE("a folder that cannot be created is told by path and reason") {
  const temporary_folder folder;
  write_bytes(folder.file("plain"), "");
  for (const std::string& path : {folder.file("plain"), folder.file("plain/run")}) {
    CHECK_THROWS_WITH_AS(
        run_directory(path, "toy"),
        ("run.directory = \"" + path + "\" cannot be created: Not a directory").c_str(),
        usage_error);
  }
}

TEST_CASE("a run that has a configuration but no summary is unfinished and can be gone on with") {
  const temporary_folder folder;
  const std::string path = folder.path().string();
  CHECK(run_directory::state(folder.file("none")) == run_state::none);
  CHECK(run_directory::state(path) == run_state::none);
  CHECK_THROWS_WITH_AS(
      run_directory::of_existing_run(path),
      ("run.directory = \"" + path + "\" holds no run to continue (config.toml is not there)")
          .c_str(),
      usage_error);
  write_bytes(folder.file("config.toml"), "");
  CHECK(run_directory::state(path) == run_state::unfinished);
  CHECK(run_directory::of_existing_run(path).file("x") == folder.file("x"));
  write_bytes(folder.file("summary.json"), "{}");
  CHECK(run_directory::state(path) == run_state::finished);
}

TEST_CASE("a file is written as a whole, and again over the old one") {
  const temporary_folder folder;
  const run_directory run(folder.path().string(), "toy");
  run.write("summary.json", "a long first version\n");
  run.write("summary.json", "{}\n");
  CHECK(read_bytes(folder.file("summary.json")) == "{}\n");
  run.write("summary.json", "");
  CHECK(read_bytes(folder.file("summary.json")).empty());
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a file that cannot be replaced is told by path and reason, and leaves no trace") {
  const temporary_folder folder;
  const run_directory run(folder.path().string(), "toy");
  fs::create_directory(folder.file("summary.json"));
  CHECK_THROWS_WITH_AS(run.write("summary.json", "{}"),
                       ("cannot write " + folder.file("summary.json") + ": Is a directory").c_str(),
                       run_error);
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);

  fs::remove_all(folder.path());
  CHECK_THROWS_WITH_AS(
      run.write("metrics.jsonl", "{}"),
      ("cannot write " + folder.file("metrics.jsonl") + ": No such file or directory").c_str(),
      run_error);
}

TEST_CASE("lines reach the file at a flush, in order") {
  const temporary_folder folder;
  const std::string path = folder.file("updates.jsonl");
  line_file lines(path);
  lines.append("one");
  lines.append("");
  CHECK(read_bytes(path).empty());
  lines.flush();
  CHECK(read_bytes(path) == "one\n\n");
  lines.append("two");
  lines.flush();
  lines.flush();
  CHECK(read_bytes(path) == "one\n\ntwo\n");
}

TEST_CASE("lines are appended to what is there, and the last ones are written at the end") {
  const temporary_folder folder;
  const std::string path = folder.file("updates.jsonl");
  {
    line_file lines(path);
    lines.append("one");
  }
  {
    line_file lines(path);
    lines.append("two");
  }
  CHECK(read_bytes(path) == "one\ntwo\n");
}

TEST_CASE("a file of lines can be cut back to an earlier size, and goes on from there") {
  const temporary_folder folder;
  const std::string path = folder.file("updates.jsonl");
  std::uint64_t size = 0;
  {
    line_file lines(path);
    lines.append("one");
    size = lines.sync();
    CHECK(size == 4);
    lines.append("two");
  }
  {
    line_file lines(path, size);
    lines.append("three");
  }
  CHECK(read_bytes(path) == "one\nthree\n");
  CHECK_THROWS_WITH_AS(
      line_file(path, 11),
      ("cannot continue " + path + ": it should have at least 11 bytes, but has 10").c_str(),
      run_error);
  CHECK(read_bytes(path) == "one\nthree\n");
}

TEST_CASE("lines that were synced survive a power cut, and those that were only flushed may not") {
  memory_file_system files;
  files.create_folder("run");
  line_file lines("run/updates.jsonl", line_file::everything, files);
  files.sync_folder("run");
  lines.append("one");
  CHECK(lines.sync() == 4);
  lines.append("two");
  lines.flush();
  CHECK(files.content("run/updates.jsonl") == "one\ntwo\n");
  files.restart(memory_file_system::survival::nothing);
  CHECK(files.content("run/updates.jsonl") == "one\n");
}

TEST_CASE("lines that did not fit on the disk are written when there is room again") {
  const temporary_folder folder;
  const std::string path = folder.file("updates.jsonl");
  line_file lines(path);
  lines.append("one");
  lines.append("two");
  {
    const file_size_limit limit(5);
    CHECK_THROWS_WITH_AS(lines.flush(), ("cannot write " + path + ": File too large").c_str(),
                         file_error);
    CHECK(read_bytes(path) == "one\nt");
  }
  lines.flush();
  CHECK(read_bytes(path) == "one\ntwo\n");
}

TEST_CASE("many lines go out without a flush, so that the buffer stays small") {
  const temporary_folder folder;
  const std::string path = folder.file("updates.jsonl");
  const std::string line(999, 'x');
  line_file lines(path);
  for (int i = 0; i < 3000; ++i) lines.append(line);
  CHECK(fs::file_size(path) > 1'000'000);
  lines.flush();
  CHECK(fs::file_size(path) == 3'000'000);
}

TEST_CASE("a full disk is told by path and reason") {
  line_file lines("/dev/full");
  lines.append("one");
  CHECK_THROWS_WITH_AS(lines.flush(), "cannot write /dev/full: No space left on device", run_error);
}

TEST_CASE("a line file that cannot be opened is told by path and reason") {
  const temporary_folder folder;
  write_bytes(folder.file("plain"), "");
  const std::string path = folder.file("plain/updates.jsonl");
  CHECK_THROWS_WITH_AS(line_file{path}, ("cannot write " + path + ": Not a directory").c_str(),
                       run_error);
}
