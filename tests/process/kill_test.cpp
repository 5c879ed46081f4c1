// Runs that are killed at random moments. Real processes, and a witness that survives them.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/process/killing.hpp"

using namespace rubato;

using fixture = program_fixture;

TEST_CASE_FIXTURE(fixture,
                  "killed on the virtual clock and resumed each time, a run ends the same") {
  CHECK(kill_on_virtual_clock(*this, 1, 5) >= 3);
}

TEST_CASE_FIXTURE(fixture, "killed on the wall clock, runs lose nothing that was acknowledged") {
  CHECK(kill_on_wall_clock(*this, RUBATO_WITNESSED_RUN, 1, 5) > 50);
}

TEST_CASE_FIXTURE(fixture, "a run of the program is audited, replayed, and replayed as a what-if") {
  REQUIRE(run({"train", "tiny.toml", "--run.directory", "r", "--checkpoint.every_versions", "3",
               "--journal.keep", "all"})
              .code == 0);
  auto o = run({"audit", "r"});
  REQUIRE_MESSAGE(o.code == 0, o.err);
  CHECK(o.out.find("the run has ended") != std::string::npos);
  CHECK(o.out.find("The books balance.") != std::string::npos);
  o = run({"replay", "r", "--output", "again.safetensors"});
  REQUIRE_MESSAGE(o.code == 0, o.err);
  CHECK(o.out.find(", the end: same\n") != std::string::npos);
  CHECK(o.out.find("checkpoint") != std::string::npos);
  CHECK(read(root / "again.safetensors") == read(root / "r/parameters.safetensors"));
  o = run({"replay", "r", "--outer.optimizer", "nesterov", "--outer.lr", "0.3"});
  REQUIRE_MESSAGE(o.code == 0, o.err);
  CHECK(o.out.find("WHAT IF") == 0);
}

TEST_CASE_FIXTURE(fixture, "a disk that is full ends the run in one line, and it goes on later") {
  const std::vector<std::string> train{"train", "tiny.toml", "--run.local_steps", "150",
                                       "--run.directory"};
  const auto into = [&](const char* directory) {
    auto arguments = train;
    arguments.emplace_back(directory);
    return arguments;
  };
  REQUIRE(run(into("whole")).code == 0);
  const auto size = std::filesystem::directory_iterator(root / "whole/journal")->file_size();
  const auto full = finish(start(into("full"), [size] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit half{size / 2, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &half);
  }));
  CHECK(full.code == 1);
  CHECK(full.err.find("journal") != std::string::npos);
  CHECK(full.err.find("File too large") != std::string::npos);
  CHECK(lines_in(full.err) == 1);
  CHECK(run({"audit", "full"}).code == 0);
  const auto resumed = run({"train", "--resume", "full"});
  REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
  CHECK(summary("full")["params_sha256"] == summary("whole")["params_sha256"]);
  CHECK(run({"audit", "full"}).code == 0);
}
