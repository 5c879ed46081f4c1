#include "storage/run_lock.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>

#include "config/error.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace {

std::string attempt(const std::string& folder) {
  try {
    const run_lock lock(folder);
    return "";
  } catch (const run_error& error) {
    return error.what();
  }
}

/// What `action` returns in another process.
std::string in_another_process(const std::function<std::string()>& action) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string answer = action();
    static_cast<void>(::write(ends[1], answer.data(), answer.size()) < 0);
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string answer;
  char letter = 0;
  while (::read(ends[0], &letter, 1) == 1) answer += letter;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return answer;
}

}  // namespace

TEST_CASE("a second process is told which one has the run directory") {
  const temporary_folder folder;
  const std::string path = folder.path().string();
  const std::string refusal = path + " is in use by process " + std::to_string(::getpid()) +
                              "; wait for it to end, or give another folder";
  {
    const run_lock lock(path);
    CHECK(in_another_process([&path] { return attempt(path); }) == refusal);
    CHECK(attempt(path) == refusal);
  }
  CHECK(in_another_process([&path] { return attempt(path); }).empty());
}

TEST_CASE("the lock of a process that was killed is free") {
  const temporary_folder folder;
  const std::string path = folder.path().string();
  in_another_process([&path] {
    static const run_lock lock(path);
    ::raise(SIGKILL);
    return "";
  });
  CHECK_FALSE(read_bytes(folder.file("run.lock")).empty());
  CHECK(attempt(path).empty());
  CHECK(read_bytes(folder.file("run.lock")) == std::to_string(::getpid()) + "\n");
}

TEST_CASE("a folder that cannot be locked is told by path and reason") {
  const temporary_folder folder;
  CHECK(attempt(folder.file("none")) ==
        "cannot lock " + folder.file("none/run.lock") + ": No such file or directory");
}
