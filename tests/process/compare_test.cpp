// `rubato compare` from outside: a small grid, cut off in the middle and resumed, and bad input.
#include <doctest/doctest.h>
#include <signal.h>

#include "tests/process/program_fixture.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

const std::string two_runs =
    "[[compare.run]]\nname = 'sync'\n"
    "set = { outer.mode = 'sync', outer.optimizer = 'nesterov' }\n"
    "[[compare.run]]\nname = 'DN + DyLU'\nset = { outer.lr = 0.5 }\n";

struct fixture : program_fixture {
  /// tiny.toml with a [compare] table; `table` follows "[compare]".
  void write_comparison(const std::string& name, const std::string& table) const {
    std::ofstream(root / name) << read(root / "tiny.toml") << "[compare]\n" << table;
  }
  std::size_t finished_cells(const std::string& directory) const {
    std::size_t count = 0;
    std::error_code none_yet;
    for (const auto& cell :
         std::filesystem::directory_iterator(root / directory / "cells", none_yet)) {
      count += std::filesystem::exists(cell.path() / "summary.json") ? 1 : 0;
    }
    return count;
  }
  void wait_for_cells(const std::string& directory, std::size_t count) const {
    const auto patience = std::chrono::steady_clock::now() + 60s;
    while (finished_cells(directory) < count && std::chrono::steady_clock::now() < patience) {
      std::this_thread::sleep_for(5ms);
    }
  }
  nlohmann::json comparison(const std::string& directory) const {
    return nlohmann::json::parse(read(root / directory / "comparison.json"));
  }
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "a comparison leaves tables, a page and a run directory for each cell") {
  write_comparison("compare.toml",
                   "seeds = [1, 2]\ntuning_seeds = [101]\ndirectory = 'grid'\n"
                   "[[compare.run]]\nname = 'sync'\n"
                   "set = { outer.mode = 'sync', outer.optimizer = 'nesterov' }\nfixed = true\n"
                   "[[compare.run]]\nname = 'DN'\nset = { quota.policy = 'fixed' }\n"
                   "tune = { 'outer.lr' = [0.3, 0.7] }\n");
  const auto result = run({"compare", "compare.toml"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(result.err == "");
  CHECK(result.out.find("[6/6] ") != std::string::npos);
  CHECK(result.out.find("Against sync") != std::string::npos);
  CHECK(result.out.find("Communication\n  run   syncs") != std::string::npos);
  CHECK(result.out.find("sync was not tuned.") != std::string::npos);
  CHECK(result.out.find('\x1b') == std::string::npos);
  CHECK(finished_cells("grid") == 6);
  CHECK(lines_in(read(root / "grid/cells.csv")) == 7);
  CHECK(read(root / "grid/report.html").find("Against sync") != std::string::npos);

  const auto json = comparison("grid");
  REQUIRE(json["cells"].size() == 6);
  for (const auto& r : json["results"]) {
    // Every step of every worker is of 4 windows of 24 bytes; a shard is some kilobytes.
    CHECK(r["epochs"]["mean"] > 0.1);
    CHECK(r["epochs"]["mean"] < 2.0);
    CHECK(r["communication_cost"]["mean"].get<double>() * sizeof(float) ==
          doctest::Approx(r["bytes_a_worker"]["mean"].get<double>()).epsilon(0.5));
  }
  std::vector<double> starts;
  for (const auto& cell : json["cells"]) {
    const auto directory = "grid/" + cell["directory"].get<std::string>();
    const auto s = summary(directory);
    CHECK(s["seed"] == cell["seed"]);
    CHECK(s["params_sha256"] == cell["params_sha256"]);
    CHECK(s["precision"] == "f32");
    CHECK(cell["tuning"] == (cell["seed"] == 101));
    if (cell["seed"] == 1) starts.push_back(lines(directory, "metrics.jsonl")[0]["loss"]);
  }
  REQUIRE(starts.size() == 2);
  CHECK(starts[0] == starts[1]);

  // All is there: the same again costs nothing and says the same.
  const auto again = run({"compare", "compare.toml", "--json"});
  REQUIRE_MESSAGE(again.code == 0, again.err);
  CHECK(nlohmann::json::parse(again.out) == json);
  CHECK(again.err.find("6 of them finished before") != std::string::npos);
  CHECK(again.err.find("[") == std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a comparison that was killed goes on and ends with the same tables") {
  const std::string seeds = "seeds = [1, 2]\nparallel = 1\n";
  write_comparison("whole.toml", seeds + "directory = 'whole'\n" + two_runs);
  write_comparison("parts.toml", seeds + "directory = 'parts'\n" + two_runs);
  REQUIRE(run({"compare", "whole.toml"}).code == 0);

  const pid_t child = start({"compare", "parts.toml"});
  wait_for_cells("parts", 1);
  kill(child, SIGKILL);
  CHECK(finish(child).code == -SIGKILL);
  CHECK(finished_cells("parts") < 4);

  const auto resumed = run({"compare", "parts.toml"});
  REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
  CHECK(resumed.out.find("finished before") != std::string::npos);
  CHECK(comparison("parts") == comparison("whole"));
}

TEST_CASE_FIXTURE(fixture, "an interrupt ends a comparison and its runs, which then goes on") {
  write_comparison("compare.toml", "seeds = [1]\nparallel = 1\ndirectory = 'grid'\n" + two_runs);
  // The second cell would take for ever.
  const pid_t child = start({"compare", "compare.toml", "--run.local_steps", "100000000"},
                            [] { ::signal(SIGINT, SIG_DFL); });
  const auto patience = std::chrono::steady_clock::now() + 60s;
  while (!std::filesystem::exists(root / "grid/cells") &&
         std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(5ms);
  }
  std::this_thread::sleep_for(500ms);
  kill(child, SIGINT);
  const auto result = finish(child);
  CHECK(result.code == 130);
  CHECK(result.err == "rubato: interrupted; the same command goes on with what is missing\n");
  CHECK_FALSE(std::filesystem::exists(root / "grid/comparison.json"));
  CHECK(run({"compare", "compare.toml"}).code == 0);
}

TEST_CASE_FIXTURE(fixture, "two comparisons cannot work in one folder") {
  write_comparison("compare.toml", "seeds = [1]\ndirectory = 'grid'\n" + two_runs);
  const pid_t child = start({"compare", "compare.toml", "--run.local_steps", "100000000"});
  const auto patience = std::chrono::steady_clock::now() + 60s;
  while (!std::filesystem::exists(root / "grid/lock") &&
         std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(5ms);
  }
  std::this_thread::sleep_for(200ms);
  const auto second = run({"compare", "compare.toml"});
  CHECK(second.code == 2);
  CHECK(second.err.find("is in use by another `rubato compare`") != std::string::npos);
  kill(child, SIGKILL);
  finish(child);
}

TEST_CASE_FIXTURE(fixture, "a run that diverged is a result, one that failed an error in the end") {
  write_comparison("compare.toml",
                   "seeds = [1]\ndirectory = 'diverged'\n"
                   "[[compare.run]]\nname = 'good'\n"
                   "[[compare.run]]\nname = 'bad'\n"
                   "set = { inner.optimizer = 'sgd', inner.lr = 100, inner.clip = 0, outer.lr = 1 }"
                   "\n");
  const auto diverged = run({"compare", "compare.toml"});
  CHECK_MESSAGE(diverged.code == 0, diverged.err);
  CHECK(diverged.out.find("bad, seed 1: diverged") != std::string::npos);
  CHECK(diverged.out.find("1 of the reported cells diverged") != std::string::npos);
  CHECK(comparison("diverged")["results"][1]["diverged"] == 1);

  write_comparison("compare.toml", "seeds = [1]\ndirectory = 'failed'\n" + two_runs);
  const auto failed = run({"compare", "compare.toml", "--data.paths", "['nowhere']"});
  CHECK(failed.code == 1);
  CHECK(failed.err == "rubato: 2 of 2 cells failed, as told above; the same command tries again\n");
  CHECK(failed.out.find("FAILED: exit code 2: rubato: ") != std::string::npos);
  CHECK(failed.out.find("nowhere") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "bad input ends with code 2 and one line, before anything is started") {
  struct wrong {
    std::string table;
    std::vector<std::string> options;
    std::string says;
  };
  const std::vector<wrong> table = {
      {"sed = [1]\n" + two_runs, {}, "unknown key sed in [compare]"},
      {"seeds = []\n" + two_runs, {}, "compare.seeds"},
      {"", {}, "nothing to compare"},
      {two_runs + two_runs, {}, "two runs are called \"sync\""},
      {"baseline = 'x'\n" + two_runs, {}, "which is no run"},
      {"[[compare.run]]\nname = 'x'\nset = { outer.optimizer = 'magic' }\n", {}, "one of \"sgd\""},
      {"[[compare.run]]\nname = 'x'\nset = { outer.mode = 'sync' }\n", {}, "updates one at a time"},
      {two_runs, {"--outer.momentum", "2"}, "command line: outer.momentum = 2"},
      {two_runs, {"--clock.mode", "wall"}, "clock.mode"},
      {two_runs, {"--nonsense"}, "--nonsense"},
  };
  for (const auto& row : table) {
    CAPTURE(row.says);
    write_comparison("compare.toml", "directory = 'grid'\n" + row.table);
    std::vector<std::string> arguments = {"compare", "compare.toml"};
    arguments.insert(arguments.end(), row.options.begin(), row.options.end());
    const auto result = run(arguments);
    CHECK(result.code == 2);
    CHECK(result.out == "");
    CHECK(lines_in(result.err) == 1);
    CHECK_MESSAGE(result.err.find(row.says) != std::string::npos, result.err);
    CHECK_FALSE(std::filesystem::exists(root / "grid"));
  }
  CHECK(run({"compare", "tiny.toml"}).err.find("has no [compare] table") != std::string::npos);
  write_comparison("compare.toml", two_runs);
  const auto train = run({"train", "compare.toml"});
  CHECK(train.code == 2);
  CHECK(train.err.find("`rubato compare compare.toml`") != std::string::npos);
}
