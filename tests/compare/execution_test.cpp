#include "compare/execution.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include "compare/processes.hpp"
#include "compare/progress.hpp"
#include "config/error.hpp"
#include "tests/compare/comparison_fixture.hpp"

using namespace rubato;
using fixture = comparison_fixture;

namespace {

const std::string two_runs =
    "[[compare.run]]\nname = 'sync'\nset = { outer.mode = 'sync' }\n"
    "[[compare.run]]\nname = 'DN'\nset = { outer.optimizer = 'delayed-nesterov' }\n";

/// Runs cells by writing what a run leaves, as `act` says. One cell ends at each wait().
class fake_runner final : public cell_runner {
 public:
  fake_runner(const comparison_folder& folder, std::function<void(const cell&)> act)
      : folder_(folder), act_(std::move(act)) {}
  explicit fake_runner(const comparison_folder& folder)
      : fake_runner(folder, [&folder](const cell& c) {
          write_run(folder.directory_of(c), {9.0, 5.0, 1.0});
        }) {}

  std::size_t capacity() const override { return 2; }
  void start(const cell& c) override {
    started.push_back(c);
    running_.push_back(c);
    most_at_a_time = std::max(most_at_a_time, running_.size());
    if (on_start) on_start();
  }
  std::vector<ended_run> wait() override {
    if (until_interrupted && !interrupted) return {};
    const cell c = running_.front();
    running_.erase(running_.begin());
    act_(c);
    return {{c.name, "exit code 7"}};
  }
  void interrupt() override { interrupted = true; }

  std::vector<cell> started;
  std::size_t most_at_a_time = 0;
  bool interrupted = false;
  bool until_interrupted = false;  // nothing ends before
  std::function<void()> on_start;

 private:
  const comparison_folder& folder_;
  std::function<void(const cell&)> act_;
  std::vector<cell> running_;
};

struct counting_observer final : grid_observer {
  void started(const grid_progress& p) override { first = p; }
  void settled(const settled_cell&, const grid_progress& p) override {
    ++calls;
    last = p;
  }
  grid_progress first, last;
  std::size_t calls = 0;
};

const std::atomic<bool> go_on{false};

grid_outcome run(const grid& g, const comparison_folder& folder, cell_runner& runner) {
  grid_observer nobody;
  return execute(g, folder, runner, nobody, go_on);
}

}  // namespace

TEST_CASE_FIXTURE(fixture, "every cell is run once, as many at a time as there is room for") {
  const auto g = grid_of("[compare]\nseeds = [1, 2, 3]\n" + two_runs);
  const comparison_folder out(folder.file("out"));
  fake_runner runner(out);
  counting_observer observer;
  const auto outcome = execute(g, out, runner, observer, go_on);
  CHECK(runner.started.size() == 6);
  CHECK(runner.most_at_a_time == 2);
  CHECK_FALSE(outcome.interrupted);
  REQUIRE(outcome.groups.size() == 2);
  for (const auto& group : outcome.groups) {
    REQUIRE(group.reported.size() == 3);
    for (const auto& c : group.reported) CHECK(c.result->final_loss == 3.0);
  }
  CHECK(observer.first.done == 0);
  CHECK(observer.first.total == 6);
  CHECK(observer.calls == 6);
  CHECK(observer.last.done == 6);
  CHECK(observer.last.seconds_left == 0.0);
}

TEST_CASE_FIXTURE(fixture, "what is finished is not run again, what was cut off starts afresh") {
  const auto g = grid_of("[compare]\nseeds = [1, 2]\n" + two_runs);
  const comparison_folder out(folder.file("out"));
  {
    fake_runner runner(out);
    run(g, out, runner);
  }
  const auto cells = g.reported_cells(1, 0, 0);
  const auto cut_off = out.directory_of(cells[0]);
  std::filesystem::remove(cut_off + "/summary.json");
  write_bytes(cut_off + "/left over", "?");

  fake_runner runner(out);
  counting_observer observer;
  const auto outcome = execute(g, out, runner, observer, go_on);
  REQUIRE(runner.started.size() == 1);
  CHECK(runner.started[0].name == cells[0].name);
  CHECK_FALSE(std::filesystem::exists(cut_off + "/left over"));
  CHECK(observer.first.done == 3);
  CHECK(outcome.groups[1].reported[0].result.has_value());
}

TEST_CASE_FIXTURE(fixture, "a comparison that is extended keeps the cells it has") {
  const comparison_folder out(folder.file("out"));
  {
    fake_runner runner(out);
    run(grid_of("[compare]\nseeds = [1, 2]\n" + two_runs), out, runner);
  }
  fake_runner more_seeds(out);
  run(grid_of("[compare]\nseeds = [1, 2, 3]\n" + two_runs), out, more_seeds);
  CHECK(more_seeds.started.size() == 2);
  fake_runner other_length(out);
  run(grid_of("[compare]\nseeds = [1, 2]\n" + two_runs, {{"run.local_steps", "50"}}), out,
      other_length);
  CHECK(other_length.started.size() == 4);
}

TEST_CASE_FIXTURE(fixture, "cells of equal config are run once and count for each") {
  const auto g = grid_of(
      "[compare]\nseeds = [1]\n[compare.vary]\nworkers.count = [4, 8]\n"
      "[[compare.run]]\nname = 'single'\nset = { workers.count = 1 }\n");
  const comparison_folder out(folder.file("out"));
  fake_runner runner(out);
  counting_observer observer;
  const auto outcome = execute(g, out, runner, observer, go_on);
  CHECK(runner.started.size() == 1);
  CHECK(observer.last.done == 2);
  CHECK(outcome.groups[0].reported[0].result.has_value());
  CHECK(outcome.groups[1].reported[0].result.has_value());
}

TEST_CASE_FIXTURE(fixture, "reported cells wait for the hyper-parameters and get the best") {
  const auto g = grid_of(
      "[compare]\nseeds = [1, 2]\ntuning_seeds = [101, 102]\n"
      "[[compare.run]]\nname = 'sync'\nset = { outer.mode = 'sync' }\n"
      "tune = { 'outer.lr' = [0.1, 0.3, 0.7] }\n");
  const comparison_folder out(folder.file("out"));
  fake_runner runner(out, [&](const cell& c) {
    // 0.3 has the lowest mean; 0.7 the lowest single loss, but with the other seed it diverged.
    const bool lucky = c.combination == 2 && c.seed == 101;
    const bool diverged = c.combination == 2 && c.seed == 102;
    const double loss = lucky ? 0.1 : c.combination == 1 ? 2.0 : 3.0;
    write_run(out.directory_of(c), {9.0, loss}, diverged ? "diverged" : "finished");
  });
  const auto outcome = run(g, out, runner);
  REQUIRE(runner.started.size() == 8);
  for (std::size_t i = 0; i < 8; ++i) CHECK(runner.started[i].tuning == (i < 6));
  CHECK(outcome.groups[0].chosen == 1);
  for (const auto& c : outcome.groups[0].reported) {
    CHECK(c.what.identity.find("lr = 0.3") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(fixture, "the longest cells start first") {
  const auto g = grid_of("[compare]\nseeds = [1]\n" + two_runs + "budgets = [1, 2, 4]\n");
  const comparison_folder out(folder.file("out"));
  fake_runner runner(out);
  run(g, out, runner);
  REQUIRE(runner.started.size() == 4);
  CHECK(std::is_sorted(runner.started.begin(), runner.started.end(),
                       [](const cell& a, const cell& b) { return a.work > b.work; }));
  CHECK(runner.started[0].work == 4.0 * runner.started[3].work);
}

TEST_CASE_FIXTURE(fixture, "a run that fails is told with its last words, and the rest goes on") {
  const auto g = grid_of("[compare]\nseeds = [1, 2]\n" + two_runs);
  const comparison_folder out(folder.file("out"));
  std::size_t ended = 0;
  fake_runner runner(out, [&](const cell& c) {
    if (++ended == 1) return write_bytes(out.log_of(c), "hello\nrubato: no such file\n");
    write_run(out.directory_of(c), {9.0, 5.0});
  });
  const auto outcome = run(g, out, runner);
  std::vector<std::string> failures;
  for (const auto& group : outcome.groups) {
    for (const auto& c : group.reported) {
      if (!c.result) failures.push_back(c.failure);
    }
  }
  REQUIRE(failures.size() == 1);
  CHECK(failures[0] == "exit code 7: rubato: no such file");
  CHECK(runner.started.size() == 4);
}

TEST_CASE_FIXTURE(fixture,
                  "an interrupt is passed on, nothing more is started, all are waited for") {
  const auto g = grid_of("[compare]\nseeds = [1, 2, 3]\n" + two_runs);
  const comparison_folder out(folder.file("out"));
  std::atomic<bool> stop{false};
  fake_runner runner(out, [&](const cell& c) {
    write_run(out.directory_of(c), {9.0, 5.0}, "interrupted");
  });
  runner.until_interrupted = true;
  runner.on_start = [&] { stop = runner.started.size() == 2; };
  counting_observer observer;
  const auto outcome = execute(g, out, runner, observer, stop);
  CHECK(outcome.interrupted);
  CHECK(runner.interrupted);
  CHECK(runner.started.size() == 2);
  CHECK(observer.calls == 0);  // neither results nor failures

  fake_runner again(out);
  CHECK_FALSE(run(g, out, again).interrupted);
  CHECK(again.started.size() == 6);
}

TEST_CASE_FIXTURE(fixture, "a link in a cell's place is not followed") {
  const auto g = grid_of("[compare]\nseeds = [1]\n" + two_runs);
  const comparison_folder out(folder.file("out"));
  const auto elsewhere = folder.path() / "elsewhere";
  std::filesystem::create_directory(elsewhere);
  write_bytes((elsewhere / "precious").string(), "data");
  std::filesystem::create_directory_symlink(elsewhere,
                                            out.directory_of(g.reported_cells(0, 0, 0)[0]));
  fake_runner runner(out);
  CHECK_THROWS_AS(run(g, out, runner), run_error);
  CHECK(std::filesystem::exists(elsewhere / "precious"));
}

TEST_CASE_FIXTURE(fixture, "a folder that holds a run is not taken for a comparison") {
  std::filesystem::create_directory(folder.path() / "run");
  write_bytes(folder.file("run/summary.json"), "{}");
  CHECK_THROWS_AS(comparison_folder(folder.file("run")), usage_error);
  write_bytes(folder.file("file"), "");
  CHECK_THROWS_AS(comparison_folder(folder.file("file")), usage_error);
}

TEST_CASE("the rest takes as long as its share of the machine, and as its longest run") {
  CHECK(estimate_seconds({}, 2) == 0.0);
  CHECK(estimate_seconds({10.0, 10.0, 10.0, 10.0}, 2) == 20.0);
  CHECK(estimate_seconds({30.0, 2.0, 2.0}, 2) == 30.0);
}

TEST_CASE("the cores are shared out so that all are busy") {
  const auto shared = [](std::size_t cores, std::size_t runs, std::int64_t parallel,
                         std::int64_t threads, std::int64_t per_lane) {
    const auto plan = share_cores(cores, runs, parallel, threads, per_lane);
    return std::pair(plan.runs, plan.threads);
  };
  CHECK(shared(8, 100, 0, 0, 1) == std::pair<std::size_t, std::int64_t>(8, 1));
  CHECK(shared(8, 2, 0, 0, 1) == std::pair<std::size_t, std::int64_t>(2, 4));
  CHECK(shared(8, 3, 0, 0, 1) == std::pair<std::size_t, std::int64_t>(3, 2));
  CHECK(shared(8, 100, 0, 0, 4) == std::pair<std::size_t, std::int64_t>(2, 1));
  CHECK(shared(8, 100, 2, 0, 1) == std::pair<std::size_t, std::int64_t>(2, 4));
  CHECK(shared(8, 100, 0, 4, 1) == std::pair<std::size_t, std::int64_t>(2, 4));
  CHECK(shared(8, 100, 3, 5, 1) == std::pair<std::size_t, std::int64_t>(3, 5));
  CHECK(shared(0, 1, 0, 0, 1) == std::pair<std::size_t, std::int64_t>(1, 1));
  CHECK(shared(2, 100, 0, 8, 1) == std::pair<std::size_t, std::int64_t>(1, 8));
}

TEST_CASE_FIXTURE(fixture, "progress and cells are told in a line each") {
  CHECK(progress_text({12, 48, 2, 200.0}) == "12/48 cells  25%  2 running  ETA 3m 20s");
  CHECK(progress_text({0, 48, 2, -1.0}) == "0/48 cells  0%  2 running  ETA ?");
  CHECK(progress_text({47, 48, 1, 1.0}).find("97%") != std::string::npos);  // not done yet

  const auto g = grid_of(
      "[compare]\nseeds = [2]\ntuning_seeds = [101]\n"
      "[compare.vary]\nworkers.heterogeneity = ['very']\n"
      "[[compare.run]]\nname = 'sync'\nset = { outer.mode = 'sync' }\n"
      "tune = { 'outer.lr' = [0.3, 0.7] }\nbudgets = [1, 1.5]\n");
  CHECK(cell_text(g, g.tuning_cells(0, 0)[1]) ==
        "sync, workers.heterogeneity = \"very\", outer.lr = 0.7, tuning seed 101");
  CHECK(cell_text(g, g.reported_cells(0, 0, 0)[1]) ==
        "sync, workers.heterogeneity = \"very\", budget 1.5, outer.lr = 0.3, seed 2");
}
