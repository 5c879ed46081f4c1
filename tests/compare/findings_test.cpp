#include "compare/findings.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

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
  r.workers = 4.0;
  r.parameters = 50.0;
  r.versions = 25.0;
  r.applied = 60;
  r.epochs = 2.0;
  r.accuracy = 0.5;
  r.top5 = std::nan("");
  for (int i = 0; i <= 4; ++i) {
    const double share = i / 4.0;
    r.curve.push_back({share * 100.0, share * 400.0, share * 2.0 * seconds, share * 1000.0,
                       i < 2 ? 10.0 + (loss - 10.0) * i / 2.0 : loss});
  }
  return r;
}

/// The outcome with what `result` says of each reported cell.
template <class Result>
grid_outcome outcome_of_cells(const grid& g, Result result) {
  grid_outcome outcome;
  for (std::size_t setting = 0; setting < g.settings().size(); ++setting) {
    for (std::size_t run = 0; run < g.spec().runs.size(); ++run) {
      cell_group group{run, setting, 0, {}, {}};
      for (const auto& c : g.reported_cells(run, setting, 0)) {
        group.reported.push_back({c, result(c), {}});
      }
      outcome.groups.push_back(std::move(group));
    }
  }
  return outcome;
}

/// The same by run, budget and seed.
template <class Result>
grid_outcome outcome_of(const grid& g, Result result) {
  return outcome_of_cells(g, [&](const cell& c) { return result(c.run, c.budget, c.seed); });
}

const pair_finding& pair_of(const findings& f, std::size_t run, std::size_t other) {
  return *std::find_if(f.pairs.begin(), f.pairs.end(),
                       [&](const pair_finding& p) { return p.run == run && p.other == other; });
}

bool has_note(const findings& f, const std::string& text) {
  return std::any_of(f.notes.begin(), f.notes.end(),
                     [&](const std::string& note) { return note.find(text) != std::string::npos; });
}

const table& table_called(const std::vector<table>& tables, const std::string& title) {
  return *std::find_if(tables.begin(), tables.end(),
                       [&](const table& t) { return t.title == title; });
}

/// Local SGD with four values of H, next to data-parallel training, which has none.
const std::string tradeoff =
    "[compare]\nseeds = [1, 2, 3]\n[compare.vary]\nquota.local_steps = [1, 4, 16, 64]\n"
    "[[compare.run]]\nname = 'data-parallel'\n"
    "set = { outer.mode = 'sync', quota.local_steps = 1 }\n"
    "[[compare.run]]\nname = 'Local SGD'\nset = { outer.mode = 'sync' }\n"
    "[[compare.run]]\nname = 'async'\nset = { outer.optimizer = 'nesterov' }\n";

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

TEST_CASE_FIXTURE(fixture, "communication is two times the parameters at each synchronisation") {
  const auto g = grid_of(tradeoff);
  const auto outcome = outcome_of_cells(g, [](const cell& c) {
    auto r = line_to(4.0, 100.0);
    r.versions = c.run == 0 ? 100.0 : 100.0 / std::pow(4.0, c.setting);
    r.seconds = c.run == 0 ? 300.0 : 200.0 + static_cast<double>(c.seed);
    return r;
  });
  const auto f = find(g, outcome);
  const auto& local_4 = f.runs[3 + 1];  // by setting, then run
  CHECK(local_4.synchronisations.mean == 25.0);
  CHECK(local_4.cost.mean == 2.0 * 50.0 * 25.0);
  CHECK(local_4.bytes_a_worker.mean == 250.0);
  CHECK(local_4.seconds_an_epoch.mean == 101.0);
  CHECK(local_4.epoch_speed_up.mean ==
        Approx((300.0 / 201.0 + 300.0 / 202.0 + 300.0 / 203.0) / 3.0));
  // 60 updates of 4 workers.
  CHECK(f.runs[2].synchronisations.mean == 15.0);

  const auto tables = tables_of(g, f);
  const auto& t = table_called(tables, "Communication");
  using row = std::vector<std::string>;
  CHECK(t.columns ==
        row{"run", "H", "syncs", "cost", "in bytes", "measured", "epochs", "an epoch", "speed-up"});
  REQUIRE(t.rows.size() == 1 + 4 + 4);
  CHECK(t.rows[0] ==
        row{"data-parallel", "-", "100", "10.0k", "40.0 kB", "250 B", "2", "2m 30s", "1.00x"});
  CHECK(t.rows[2] ==
        row{"Local SGD", "4", "25", "2500", "10.0 kB", "250 B", "2", "1m 41s", "1.49x"});
  const auto csv = to_csv(g, outcome);
  CHECK(csv.find(",workers,parameters,synchronisations,communication_cost,") != std::string::npos);
  CHECK(csv.find(",4,50,6.25,625,") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a single run is as fast as in its first setting") {
  const auto g = grid_of(
      "[compare]\n[compare.vary]\nquota.local_steps = [1, 4]\n"
      "[[compare.run]]\nname = 'Local SGD'\nset = { outer.mode = 'sync' }\n");
  const auto f = find(g, outcome_of_cells(g, [](const cell& c) {
                        return line_to(4.0, c.setting == 0 ? 100.0 : 80.0);
                      }));
  CHECK(f.runs[0].epoch_speed_up.mean == 1.0);
  CHECK(f.runs[1].epoch_speed_up.mean == 1.25);
  CHECK(tables_of(g, f).back().note.find("that of the first row") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "results that go with a varied number are said, by rank correlation") {
  const auto g = grid_of(tradeoff);
  const auto accuracy_of = [](const cell& c) {
    auto r = line_to(4.0, 60.0);
    // Local SGD: falls with H, the same for all seeds. Async: seed 1 is 0.9 throughout.
    r.accuracy = 0.8 - 0.1 * static_cast<double>(c.setting);
    if (c.run == 2 && c.seed == 1) r.accuracy = 0.9;
    return r;
  };
  const auto f = find(g, outcome_of_cells(g, accuracy_of));
  REQUIRE(f.orders.size() == 2);  // data-parallel has no H
  CHECK(f.orders[0].run == 1);
  CHECK(f.orders[0].key == "quota.local_steps");
  CHECK(f.orders[0].rest.empty());
  CHECK(f.orders[0].cells == 12);
  CHECK(f.orders[0].correlation == Approx(-1.0));
  CHECK(f.orders[1].correlation > -0.9);
  CHECK(f.orders[1].correlation < -0.3);
  CHECK(has_note(f, "correlation of quota.local_steps with the accuracy, "));
  CHECK(has_note(f, ": Local SGD -1.00 (12 cells), async -0."));

  // One that diverged has no accuracy, and is worse than any that has.
  const auto with_divergence = find(g, outcome_of_cells(g, [&](const cell& c) {
                                      auto r = accuracy_of(c);
                                      if (c.setting == 3) {
                                        r.diverged = true;
                                        r.accuracy = 1.0;
                                      }
                                      return r;
                                    }));
  CHECK(with_divergence.orders[0].correlation == Approx(-1.0));

  const auto of_text = find(g, outcome_of_cells(g, [](const cell& c) {
                              auto r = line_to(4.0 + static_cast<double>(c.setting), 60.0);
                              r.unit = "token";
                              return r;
                            }));
  CHECK(has_note(of_text, "with the final loss, "));
  CHECK(of_text.orders[0].correlation == Approx(1.0));

  const auto all_alike =
      find(g, outcome_of_cells(g, [](const cell&) { return line_to(4.0, 60.0); }));
  CHECK(has_note(all_alike, ": Local SGD none, async none."));
}

TEST_CASE_FIXTURE(fixture, "no rank correlation is told of two values, or of what is no number") {
  const auto orders = [&](const std::string& vary) {
    const auto g = grid_of("[compare]\n[compare.vary]\n" + vary +
                           "\n[[compare.run]]\nname = 'DN'\n"
                           "set = { outer.optimizer = 'delayed-nesterov' }\n");
    return find(g, outcome_of_cells(g, [](const cell&) { return line_to(4.0, 60.0); })).orders;
  };
  CHECK(orders("quota.local_steps = [1, 4]").empty());
  CHECK(orders("workers.heterogeneity = ['none', 'slight', 'very']").empty());
  // By H with either number of workers, and not by the two numbers of workers.
  const auto both = orders("quota.local_steps = [1, 4, 16]\nworkers.count = [2, 4]");
  REQUIRE(both.size() == 2);
  CHECK(both[0].rest == override_list{{"workers.count", "2"}});
  CHECK(both[1].rest == override_list{{"workers.count", "4"}});
  CHECK(both[1].cells == 9);
}

TEST_CASE_FIXTURE(fixture, "accuracies are compared seed by seed, top-5 is shown where it is") {
  const auto g = grid_of(three_runs);
  const auto outcome = outcome_of_cells(g, [](const cell& c) {
    auto r = line_to(4.0, 60.0);
    r.accuracy = 0.5 + 0.01 * static_cast<double>(c.run) + 0.1 * static_cast<double>(c.seed);
    return r;
  });
  const auto f = find(g, outcome);
  CHECK(pair_of(f, 2, 0).accuracy_difference.mean == Approx(0.02));
  CHECK(pair_of(f, 2, 0).accuracy_difference.error == Approx(0.0).epsilon(1e-9));
  const auto text = to_text(tables_of(g, f));
  CHECK(text.find("+2.0 ± 0.0%") != std::string::npos);
  CHECK(text.find("70.0 ± 5.8%") != std::string::npos);
  CHECK(text.find("top-5") == std::string::npos);

  auto with_top5 = outcome;
  for (auto& c : with_top5.groups[1].reported) c.result->top5 = 0.935;
  CHECK(to_text(tables_of(g, find(g, with_top5))).find("93.5%") != std::string::npos);
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
  CHECK(json["tables"].size() == 5);
  CHECK(json["results"][0]["label"] == "sync, \"old\", workers.heterogeneity = \"none\"");
  CHECK(json["results"][0]["varied"] == nlohmann::json({{"workers.heterogeneity", "\"none\""}}));
  CHECK(json["results"][0]["top5"]["mean"].is_null());
  for (const auto& t : json["tables"]) {
    for (const auto& row : t["rows"]) CHECK(row.size() == t["columns"].size());
  }
}

TEST_CASE("a table that is too wide for the terminal goes on below") {
  const auto text_with = [](std::size_t width) {
    const table t{"Title", "", {"run", "a", "b"}, {{"sync", std::string(width, 'x'), "1"}}};
    return to_text(std::vector{t});
  };
  const std::string fits(89, 'x'), too_wide(90, 'x');  // 100 columns with what is around it
  CHECK(text_with(89) == fmt::format("Title\n  run   {:>89}  b\n  sync  {}  1\n", "a", fits));
  CHECK(text_with(90) == fmt::format("Title\n  run   {:>90}\n  sync  {}\n"
                                     "  run   b\n  sync  1\n",
                                     "a", too_wide));
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
