// A run that the system kills, again and again, and that goes on each time. Real processes.
#include <doctest/doctest.h>
#include <signal.h>

#include <chrono>
#include <cstdint>
#include <thread>

#include "config/random.hpp"
#include "tests/process/program_fixture.hpp"

using namespace rubato;
namespace fs = std::filesystem;

using fixture = program_fixture;

TEST_CASE_FIXTURE(fixture, "killed at random moments and resumed each time, a run ends the same") {
  const std::vector<std::string> settings{
      "--run.local_steps", "1500", "--workers.jitter", "0.2", "--checkpoint.every_versions", "4"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), settings.begin(), settings.end());
    return arguments;
  };
  const auto begun = std::chrono::steady_clock::now();
  REQUIRE(run(with({"train", "tiny.toml", "--run.directory", "whole"})).code == 0);
  const auto whole = std::chrono::steady_clock::now() - begun;

  constexpr int wanted = 5;
  int kills = 0;
  outcome last;
  for (std::uint64_t attempt = 0;; ++attempt) {
    REQUIRE(attempt < 50);
    const pid_t child =
        start(with({"train", "tiny.toml", "--run.directory", "killed", "--run.resume", "auto"}));
    if (kills < wanted) {
      random_generator random(attempt, random_stream::test);
      // Long enough for some to get past a checkpoint, short enough for most not to finish.
      std::this_thread::sleep_for((0.1 + 0.5 * random.uniform()) * whole);
      kill(child, SIGKILL);
    }
    last = finish(child);
    if (last.code == 0) break;
    REQUIRE_MESSAGE(last.code == -SIGKILL, last.err);
    kills += 1;
  }
  CHECK(kills >= 3);
  CHECK(summary("killed")["params_sha256"] == summary("whole")["params_sha256"]);
  CHECK(lines("killed", "updates.jsonl") == lines("whole", "updates.jsonl"));

  SUBCASE("and is left alone when it has finished") {
    const auto before = read(root / "killed/summary.json");
    const auto again = run({"train", "--resume", "killed", "--json"});
    CHECK(again.code == 0);
    CHECK(again.out == before);
    CHECK(again.err.find("has finished") != std::string::npos);
    CHECK(read(root / "killed/summary.json") == before);
  }
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
