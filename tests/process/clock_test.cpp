// The program on the wall clock, and with more workers than a machine has anything of.
#include <doctest/doctest.h>
#include <signal.h>

#include <set>
#include <tuple>

#include "tests/process/program_fixture.hpp"

using namespace rubato;
using namespace std::chrono_literals;
using fixture = program_fixture;

TEST_CASE_FIXTURE(fixture, "a config for the virtual clock runs on the wall clock too") {
  const auto result = run({"train", "tiny.toml", "--run.directory", "wall", "--clock.mode", "wall",
                           "--workers.heterogeneity", "none", "--workers.throttle", "true"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(result.out.find("virtual") == std::string::npos);
  const auto s = summary("wall");
  CHECK(s["clock"] == "wall");
  CHECK(s["virtual_seconds"].is_null());
  // 60 steps by 4 workers at 0.75 s: three rounds of 5 steps each.
  CHECK(s["clock_seconds"] > 3 * 5 * 0.75);

  const auto free = run({"train", "tiny.toml", "--run.directory", "free", "--clock.mode=wall"});
  REQUIRE_MESSAGE(free.code == 0, free.err);
  CHECK(summary("free")["clock_seconds"] < 3 * 5 * 0.75);
}

TEST_CASE_FIXTURE(fixture,
                  "a process that is stopped for a second loses nothing on the wall clock") {
  const pid_t child =
      start({"train", "tiny.toml", "--run.directory", "stopped", "--clock.mode", "wall",
             "--workers.throttle", "true", "--workers.seconds_per_step", "[0.02,0.03,0.04,0.05]",
             "--run.local_steps", "400", "--quota.speeds", "given"});
  wait_for_evaluations("stopped", 3);
  kill(child, SIGSTOP);
  std::this_thread::sleep_for(1s);
  kill(child, SIGCONT);
  const auto result = finish(child);
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const auto s = summary("stopped");
  CHECK(s["outcome"] == "finished");
  CHECK(s["local_steps"] >= 400);
  CHECK(s["updates"]["rejected"] == 0);
  CHECK(s["updates"]["abandoned"] == 0);
  std::set<std::tuple<int, int, int>> rounds;
  std::int64_t steps = 0;
  for (const auto& u : lines("stopped", "updates.jsonl")) {
    CHECK(rounds.emplace(u["worker"], u["incarnation"], u["sequence"]).second);
    if (u["fate"] == "applied") steps += u["steps"].get<std::int64_t>();
  }
  CHECK(steps == s["local_steps"]);
  CHECK(rounds.size() ==
        s["updates"]["applied"].get<std::size_t>() + s["updates"]["run_ended"].get<std::size_t>());
}

TEST_CASE_FIXTURE(fixture, "two thousand workers train on the toy in one process") {
  const auto toy = std::string(RUBATO_SOURCE_DIR) + "/config/toy.toml";
  const auto result = run({"train",
                           toy,
                           "--run.directory",
                           "crowd",
                           "--workers.count",
                           "2000",
                           "--outer.buffer",
                           "2000",
                           "--model.width",
                           "16",
                           "--data.points",
                           "8000",
                           "--run.local_steps",
                           "20000",
                           "--quota.local_steps",
                           "5",
                           "--evaluate.every_local_steps",
                           "10000",
                           "--evaluate.batches",
                           "4"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const auto s = summary("crowd");
  CHECK(s["workers"] == 2000);
  CHECK(s["outcome"] == "finished");
  CHECK(s["per_worker"].size() == 2000);
  CHECK(s["final"]["bits_per_byte"].is_null());
  for (const auto& worker : s["per_worker"]) CHECK(worker["rounds"] > 0);
}
