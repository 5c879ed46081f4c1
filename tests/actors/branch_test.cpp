// A run that begins as a branch of another ends as one that had these settings from the start.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "recovery/branch.hpp"
#include "tests/actors/run_fixture.hpp"

using namespace rubato;

namespace {

struct fixture : fake::run_fixture {
  fixture() {
    c.data.paths = {{"texts"}};  // the configuration is written and read again
    c.run.local_steps = 600;
    c.outer.mode = "sync";
    c.outer.optimizer = "sgd";
    c.outer.lr = 1.0;
    c.quota.stages = {"0 data-parallel"};
    c.checkpoint.every_versions = 10;
    c.checkpoint.keep = 1000;
  }

  /// The parameters, and every update on the way to them.
  nlohmann::json result_of(const run_summary& summary) const {
    std::vector<std::string> metrics;
    for (auto line : lines("metrics.jsonl")) {
      line.erase("wall_seconds");
      metrics.push_back(line.dump());
    }
    return {{"sha256", summary.params_sha256},
            {"tokens", summary.tokens},
            {"bytes", summary.bytes.up},
            {"updates", lines("updates.jsonl")},
            {"metrics", metrics}};
  }
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "every moment to switch to local steps can branch from one run") {
  run();
  const auto parent = c.run.directory;
  for (const std::string optimizer : {"sgd", "slowmo", "nesterov"}) {
    for (const std::string from : {"10%", "50%", "95%"}) {
      CAPTURE(optimizer);
      CAPTURE(from);
      c.outer.optimizer = optimizer;
      c.quota.stages = {"0 data-parallel", from + " 10"};
      c.run.branch.clear();
      const auto whole = result_of(run());
      c.run.branch = parent;
      int steps = 0;
      const auto summary = run([&steps] { steps += 1; });
      CHECK(result_of(summary) == whole);
      if (from == "95%") CHECK(steps < 100);
    }
  }
}

TEST_CASE_FIXTURE(fixture, "a branch can be branched from, and goes on after it was killed") {
  c.run.threads = 1;
  run();
  c.run.branch = c.run.directory;
  c.quota.stages = {"0 data-parallel", "200 5"};
  c.outer.optimizer = "momentum";
  run();
  c.run.branch = c.run.directory;
  c.quota.stages = {"0 data-parallel", "200 5", "400 10"};
  int left = 60;
  CHECK_THROWS_AS(run([&left] {
                    if (--left < 0) throw std::runtime_error("killed");
                  }),
                  run_error);
  c.run.resume = "auto";
  const auto branched = result_of(go_on());
  c.run.branch.clear();
  c.run.resume = "no";
  CHECK(result_of(run()) == branched);
}

TEST_CASE_FIXTURE(fixture, "what two configs have in common ends where they begin to differ") {
  constexpr auto no_limit = std::numeric_limits<std::int64_t>::max();
  config other = c;
  CHECK(common_steps(c, other) == no_limit);
  other.evaluate.every_local_steps += 1;
  other.run.name = "other";
  CHECK(common_steps(c, other) == no_limit);
  other.quota.stages = {"0 data-parallel", "25% 10"};
  CHECK(common_steps(c, other) == 150);
  CHECK(common_steps(other, c) == 150);
  other.quota.stages = {"0 data-parallel", "25% 10", "300 20"};
  config third = other;
  third.quota.stages = {"0 data-parallel", "25% 10", "300 40"};
  CHECK(common_steps(other, third) == 300);
  third.outer.optimizer = "nesterov";
  CHECK(common_steps(other, third) == 150);
  third = c;
  third.quota.stages = {"0 5"};
  CHECK(common_steps(c, third) == 0);
  other = c;
  other.inner.lr *= 2;
  CHECK_THROWS_WITH_AS(common_steps(c, other), doctest::Contains("inner.lr = 0.1: the run in"),
                       usage_error);
}

TEST_CASE_FIXTURE(fixture, "a run that has no checkpoint to branch from says why") {
  c.checkpoint.keep = 1;
  run();
  c.run.branch = c.run.directory;
  c.quota.stages = {"0 data-parallel", "50% 10"};
  CHECK_THROWS_WITH_AS(run(), doctest::Contains("only 300 in common; let that run keep more"),
                       usage_error);
  c.run.branch = (root / "nowhere").string();
  CHECK_THROWS_AS(run(), usage_error);
}
