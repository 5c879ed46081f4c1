// Runs that have ended before their time, and go on. Real processes; kill_test.cpp kills them.
#include <doctest/doctest.h>
#include <signal.h>

#include "tests/process/program_fixture.hpp"

using namespace rubato;
namespace fs = std::filesystem;

using fixture = program_fixture;

TEST_CASE_FIXTURE(fixture, "a run that has finished is left alone") {
  REQUIRE(run({"train", "tiny.toml", "--run.directory", "done"}).code == 0);
  const auto before = read(root / "done/summary.json");
  const auto again = run({"train", "--resume", "done", "--json"});
  CHECK(again.code == 0);
  CHECK(again.out == before);
  CHECK(again.err.find("has finished") != std::string::npos);
  CHECK(read(root / "done/summary.json") == before);
}

TEST_CASE_FIXTURE(fixture, "an interrupted run says how it goes on, and does so with that") {
  REQUIRE(
      run({"train", "tiny.toml", "--run.directory", "whole", "--run.local_steps", "600"}).code ==
      0);
  const pid_t child =
      start({"train", "tiny.toml", "--run.directory", "stopped", "--run.local_steps", "600"},
            [] { ::signal(SIGINT, SIG_DFL); });
  wait_for_evaluations("stopped", 2);
  kill(child, SIGINT);
  const auto result = finish(child);
  REQUIRE_MESSAGE(result.code == 130, result.err);
  CHECK(result.err.find("go on with: rubato train --resume stopped\n") != std::string::npos);
  const auto resumed = run({"train", "--resume", "stopped"});
  REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
  CHECK(summary("stopped")["params_sha256"] == summary("whole")["params_sha256"]);
  CHECK(lines("stopped", "updates.jsonl") == lines("whole", "updates.jsonl"));
}

TEST_CASE_FIXTURE(fixture, "what cannot be resumed is refused in one line") {
  const auto none = run({"train", "--resume", "nowhere"});
  CHECK(none.code == 2);
  CHECK(none.err.find("holds no run to continue") != std::string::npos);
  CHECK(lines_in(none.err) == 1);
  CHECK(run({"train"}).code == 2);

  const pid_t child =
      start({"train", "tiny.toml", "--run.directory", "other", "--run.local_steps", "1000000000"});
  wait_for_evaluations("other", 2);
  const auto busy = run({"train", "--resume", "other"});
  CHECK(busy.code == 1);
  CHECK(busy.err.find("is in use by process") != std::string::npos);
  kill(child, SIGKILL);
  finish(child);
  const auto changed = run({"train", "--resume", "other", "--inner.lr", "0.02"});
  CHECK(changed.code == 2);
  CHECK(changed.err.find("inner.lr = 0.02: the run in other was begun with 0.01") !=
        std::string::npos);
  CHECK(lines_in(changed.err) == 1);
}
