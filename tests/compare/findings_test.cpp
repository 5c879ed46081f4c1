#include "compare/findings.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "compare/output.hpp"
#include "compare/tables.hpp"
#include "tests/compare/comparison_fixture.hpp"

using namespace rubato;
using doctest::Approx;
using fixture = comparison_fixture;

namespace {

/// A curve that falls from 10 in a straight line to `loss` at `seconds`, then stays. Five points
/// after the start, the last three of them at the end.
cell_result line_to(double loss, double seconds) {
  cell_result r;
  r.unit = "point";
  r.evaluated_on = "held-out";
  r.initial_loss = 10.0;
  r.final_loss = r.last_loss = loss;
  r.seconds = 2.0 * seconds;
  r.local_steps = 100.0;
  r.tokens = 400.0;
  r.bytes_down = 1000.0;
  for (int i = 0; i <= 4; ++i) {
    const double share = i / 4.0;
    r.curve.push_back({share * 100.0, share * 400.0, share * 2.0 * seconds, share * 1000.0,
                       i < 2 ? 10.0 + (loss - 10.0) * i / 2.0 : loss});
  }
  return r;
}

/// The outcome with what `result` says of each reported cell, by run, budget and seed.
template <class Result>
grid_outcome outcome_of(const grid& g, Result result) {
  grid_outcome outcome;
  for (std::size_t setting = 0; setting < g.settings().size(); ++setting) {
    for (std::size_t run = 0; run < g.spec().runs.size(); ++run) {
      cell_group group{run, setting, 0, {}, {}};
      for (const auto& c : g.reported_cells(run, setting, 0)) {
        group.reported.push_back({c, result(run, c.budget, c.seed), {}});
      }
      outcome.groups.push_back(std::move(group));
    }
  }
  return outcome;
}

const pair_finding& pair_of(const findings& f, std::size_t run, std::size_t other) {
  return *std::find_if(f.pairs.begin(), f.pairs.end(),
                       [&](const pair_finding& p) { return p.run == run && p.other == other; });
}

bool has_note(const findings& f, const std::string& text) {
  return std::any_of(f.notes.begin(), f.notes.end(),
                     [&](const std::string& note) { return note.find(text) != std::string::npos; });
}

const std::string three_runs =
    "[compare]\nseeds = [1, 2, 3]\nbaseline = ['sync', 'quotas']\n"
    "[[compare.run]]\nname = 'sync'\nset = { outer.mode = 'sync' }\n"
    "[[compare.run]]\nname = 'quotas'\nset = { outer.mode = 'sync', quota.policy = 'dylu' }\n"
    "[[compare.run]]\nname = 'DN'\nset = { outer.optimizer = 'delayed-nesterov' }\n";

}  // namespace

TEST_CASE_FIXTURE(fixture, "a run's final loss is the mean over its seeds, and runs are ranked") {
  const auto g = grid_of(three_runs);
  const auto f = find(g, outcome_of(g, [](std::size_t run, std::size_t, std::uint64_t seed) {
                        return line_to(4.0 - static_cast<double>(run) + 0.1 * double(seed), 50.0);
                      }));
  REQUIRE(f.runs.size() == 3);
  CHECK(f.runs[0].final_loss.mean == Approx(4.2));
  CHECK(f.runs[0].final_loss.error == Approx(0.1 / std::sqrt(3.0)));
  CHECK(f.runs[0].rank == 3);
  CHECK(f.runs[2].rank == 1);
  CHECK(f.runs[0].seconds.mean == 100.0);
  // Seeds move both runs alike: the paired difference has no spread.
  CHECK(pair_of(f, 2, 0).difference.mean == Approx(-2.0));
  CHECK(pair_of(f, 2, 0).difference.error == Approx(0.0).epsilon(1e-9));
}

TEST_CASE_FIXTURE(fixture, "a pair is compared where both get down to the worst final loss") {
  const auto g = grid_of(three_runs);
  // sync goes from 10 to 4 in 60 s. DN goes to 2 in 40 s, and is at 4 after 30 s.
  const auto f = find(g, outcome_of(g, [](std::size_t run, std::size_t, std::uint64_t) {
                        return run == 2 ? line_to(2.0, 40.0) : line_to(4.0, 60.0);
                      }));
  const auto& p = pair_of(f, 2, 0);
  CHECK(*p.target == 4.0);
  CHECK(p.reached == 3);
  CHECK(p.seconds.run.mean == Approx(30.0));
  CHECK(p.seconds.other.mean == Approx(60.0));
  CHECK(p.seconds.ratio.mean == Approx(2.0));
  CHECK(p.local_steps.ratio.mean == Approx(50.0 / 37.5));
  CHECK(p.is_faster());
  CHECK_FALSE(p.is_worse());
  CHECK(pair_of(f, 0, 2).seconds.ratio.mean == Approx(0.5));
  CHECK(has_note(f, "DN is 2.00 ± 0.00 times as fast as sync"));
}

TEST_CASE_FIXTURE(fixture, "a fixed target that a seed does not reach is no speed-up") {
  auto g =
      grid_of("[compare]\ntarget = 3\n" + three_runs.substr(std::string("[compare]\n").size()));
  const auto f = find(g, outcome_of(g, [](std::size_t run, std::size_t, std::uint64_t seed) {
                        const bool misses = run == 2 && seed == 2;
                        return line_to(misses ? 3.5 : 2.0, run == 2 ? 10.0 : 60.0);
                      }));
  const auto& p = pair_of(f, 2, 0);
  CHECK(*p.target == 3.0);
  CHECK(p.pairs == 3);
  CHECK(p.reached == 2);
  CHECK(p.seconds.ratio.mean == Approx(6.0));
  CHECK_FALSE(p.is_faster());
}

TEST_CASE_FIXTURE(fixture, "quotas alone explain a gain that is gone against sync with quotas") {
  const auto g = grid_of(three_runs);
  const auto with_quotas_taking = [&](double seconds, double loss) {
    return find(g, outcome_of(g, [=](std::size_t run, std::size_t, std::uint64_t) {
                  return run == 0   ? line_to(4.0, 60.0)
                         : run == 1 ? line_to(4.0, seconds)
                                    : line_to(loss, 20.0);
                }));
  };
  CHECK(has_note(with_quotas_taking(20.0, 4.0), "quotas alone explain the gain"));
  CHECK(has_note(with_quotas_taking(30.0, 4.0), "quotas alone do not explain the gain"));
  // Faster to a loss that is worse than what sync ends with is no gain.
  CHECK(has_note(with_quotas_taking(30.0, 5.0), "ends higher by 1.0000"));
}

TEST_CASE_FIXTURE(fixture, "without a spread, or without sync with quotas, no gain is explained") {
  const auto fast_dn = [](std::size_t run, std::size_t, std::uint64_t) {
    return line_to(4.0, run == 0 ? 60.0 : 20.0);
  };
  const auto one_seed = grid_of(three_runs, {});
  auto spec = one_seed.spec();
  spec.seeds = {1};
  const grid g(spec, {}, "1.0");
  const auto f = find(g, outcome_of(g, fast_dn));
  CHECK(has_note(f, "One seed only"));
  CHECK_FALSE(has_note(f, "quotas alone"));

  spec.seeds = {1, 2, 3};
  spec.baselines = {0};
  spec.runs.erase(spec.runs.begin() + 1);
  const grid without(spec, {}, "1.0");
  CHECK(has_note(find(without, outcome_of(without, fast_dn)), "it is not known how much"));
}

TEST_CASE_FIXTURE(fixture, "seeds that diverged or failed are counted and said") {
  const auto g = grid_of(three_runs);
  const auto outcome = outcome_of(g, [](std::size_t run, std::size_t, std::uint64_t seed) {
    std::optional<cell_result> r = line_to(4.0, 60.0);
    if (run == 2 && seed == 1) {
      r->diverged = true;
      r->final_loss = r->last_loss = std::numeric_limits<double>::infinity();
    }
    if (run == 1 && seed == 2) r.reset();
    return r;
  });
  const auto f = find(g, outcome);
  CHECK(f.runs[2].diverged == 1);
  CHECK(f.runs[2].rank == 3);
  CHECK(f.runs[1].missing == 1);
  CHECK(pair_of(f, 1, 0).pairs == 2);
  CHECK_FALSE(pair_of(f, 2, 0).target.has_value());
  CHECK(has_note(f, "1 of the reported cells diverged"));
  CHECK(has_note(f, "1 of the reported cells have no result"));
  const auto text = to_text(tables_of(g, f));
  CHECK(text.find("1 of 3 diverged") != std::string::npos);
  const auto csv = to_csv(g, outcome);
  CHECK(csv.find(",diverged,inf,inf,") != std::string::npos);
  CHECK(csv.find(",missing,") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "runs that did not start from the same loss are not to be compared") {
  const auto g = grid_of(three_runs);
  const auto f = find(g, outcome_of(g, [](std::size_t run, std::size_t, std::uint64_t seed) {
                        auto r = line_to(4.0, 60.0);
                        if (run == 1 && seed == 3) r.initial_loss = 9.9;
                        return r;
                      }));
  CHECK(has_note(f, "sync and quotas did not start alike with seed 3"));
}

TEST_CASE_FIXTURE(fixture, "the smallest budget that reaches the baseline's loss is found") {
  const auto g = grid_of(three_runs + "budgets = [0.5, 1, 2]\n");
  // DN reaches 4 with twice the steps only.
  const auto f = find(g, outcome_of(g, [](std::size_t run, std::size_t budget, std::uint64_t) {
                        if (run != 2) return line_to(4.0, 60.0);
                        return line_to(6.0 - static_cast<double>(budget), 10.0);
                      }));
  REQUIRE(f.budgets.size() == 2);
  CHECK(f.budgets[0].other == 0);
  REQUIRE(f.budgets[0].budget.has_value());
  CHECK(*f.budgets[0].budget == 2);
  CHECK(f.budgets[0].speed_up.mean == Approx(6.0));
  const auto none = find(g, outcome_of(g, [](std::size_t run, std::size_t, std::uint64_t) {
                           return line_to(run == 2 ? 5.0 : 4.0, 10.0);
                         }));
  CHECK_FALSE(none.budgets[0].budget.has_value());
}

TEST_CASE_FIXTURE(fixture, "a choice at the edge of what was tried is said") {
  const auto g = grid_of(
      "[compare]\nseeds = [1]\ntuning_seeds = [9]\n"
      "[[compare.run]]\nname = 'sync'\nset = { outer.mode = 'sync' }\n"
      "tune = { 'outer.lr' = [0.1, 0.3, 0.7] }\n");
  bool all_finish = true;
  const auto with_choice = [&](std::size_t chosen) {
    grid_outcome outcome;
    cell_group group{0, 0, chosen, {}, {}};
    for (const auto& c : g.tuning_cells(0, 0)) {
      group.tuning.push_back({c, line_to(c.combination == chosen ? 1.0 : 2.0, 10.0), {}});
    }
    if (!all_finish) group.tuning[0].result.reset();
    for (const auto& c : g.reported_cells(0, 0, chosen)) {
      group.reported.push_back({c, line_to(1.0, 10.0), {}});
    }
    outcome.groups.push_back(std::move(group));
    return find(g, outcome);
  };
  CHECK_FALSE(has_note(with_choice(1), "edge"));
  CHECK_FALSE(has_note(with_choice(1), "cells for tuning"));
  const auto f = with_choice(2);
  CHECK(has_note(f,
                 "edge of those tried, so that a better one may lie beyond it, for: sync "
                 "(outer.lr)"));
  all_finish = false;
  CHECK(has_note(with_choice(1), "1 of the cells for tuning have no result"));
  REQUIRE(f.tuning.size() == 1);
  CHECK(f.tuning[0].losses[2].mean == 1.0);
  CHECK(to_text(tables_of(g, f)).find("chosen, at the edge") != std::string::npos);
}

TEST_CASE("the rows of a language-model comparison are told apart by their config") {
  config c;
  c.quota.policy = "dylu";
  CHECK(role_of(c) == method_role::delayed_nesterov_dylu);
  c.quota.policy = "fixed";
  CHECK(role_of(c) == method_role::delayed_nesterov);
  c.outer.optimizer = "nesterov";
  CHECK(role_of(c) == method_role::other);
  c.outer.mode = "sync";
  CHECK(role_of(c) == method_role::sync);
  c.quota.policy = "dylu";
  CHECK(role_of(c) == method_role::sync_dylu);
  c.outer.weighting = "tokens";
  CHECK(role_of(c) == method_role::sync_dylu_tokens);
  c.quota.stages = {"0 data-parallel"};
  CHECK(role_of(c) == method_role::data_parallel);
  c.quota.stages = {"0 data-parallel", "100 8"};
  CHECK(role_of(c) == method_role::other);
  c.workers.count = 1;
  CHECK(role_of(c) == method_role::single_worker);
}

TEST_CASE_FIXTURE(fixture, "a comparison of language models says which rows it lacks") {
  const auto path = folder.file("text.toml");
  write_bytes(path,
              "data.paths = ['x.txt']\n[[compare.run]]\nname = 'sync'\n"
              "set = { outer.mode = 'sync', outer.optimizer = 'nesterov', quota.policy = 'fixed' "
              "}\n");
  const grid g(read_comparison({path}), {}, "1.0");
  const auto f = find(
      g, outcome_of(g, [](std::size_t, std::size_t, std::uint64_t) { return line_to(4.0, 60.0); }));
  CHECK(has_note(f, "missing here: a single worker; data-parallel training; sync with DyLU"));
  CHECK(has_note(f, "No setting has jitter"));
  CHECK(has_note(f, "No setting has transfer times"));
  CHECK(has_note(f, "No hyper-parameter was tuned"));
}

TEST_CASE_FIXTURE(fixture, "files have every cell, quoted as their formats want it") {
  const auto g = grid_of(
      "[compare]\nseeds = [1, 2]\n[compare.vary]\nworkers.heterogeneity = ['none', 'very']\n"
      "[[compare.run]]\nname = 'sync, \"old\"'\nset = { outer.mode = 'sync' }\n"
      "[[compare.run]]\nname = 'DN'\nset = { outer.optimizer = 'delayed-nesterov' }\n");
  const auto outcome =
      outcome_of(g, [](std::size_t, std::size_t, std::uint64_t) { return line_to(4.0, 60.0); });
  const auto f = find(g, outcome);
  const auto csv = to_csv(g, outcome);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + 8);
  CHECK(csv.find("run,part,workers.heterogeneity,hyper_parameters,budget,seed,outcome,") == 0);
  CHECK(csv.find("\"sync, \"\"old\"\"\",reported,\"\"\"none\"\"\",,1,1,finished,4,4,") !=
        std::string::npos);
  const auto json = nlohmann::json::parse(to_json(g, outcome, f, tables_of(g, f)));
  CHECK(json["cells"].size() == 8);
  CHECK(json["results"].size() == 4);
  CHECK(json["pairs"].size() == 4);
  CHECK(json["results"][0]["final_loss"]["mean"] == 4.0);
  CHECK(json["cells"][0]["bits_per_byte"] == 0.0);
  CHECK(json["tables"].size() == 4);
  for (const auto& t : json["tables"]) {
    for (const auto& row : t["rows"]) CHECK(row.size() == t["columns"].size());
  }
}

TEST_CASE("columns line up also behind letters of several bytes") {
  const table t{"Title", "A note.", {"run", "loss", ""}, {{"a", "1.0 ± 0.1", ""}, {"bb", "2", ""}}};
  CHECK(to_text(std::vector{t, t}) ==
        "Title\n"
        "  run       loss\n"
        "  a    1.0 ± 0.1\n"
        "  bb           2\n"
        "  A note.\n"
        "\n"
        "Title\n"
        "  run       loss\n"
        "  a    1.0 ± 0.1\n"
        "  bb           2\n");
}
