#include "compare/grid.hpp"

#include <doctest/doctest.h>

#include <set>

#include "config/error.hpp"
#include "tests/compare/comparison_fixture.hpp"

using namespace rubato;
using fixture = comparison_fixture;

namespace {

const std::string sync_run = "[[compare.run]]\nname = 'sync'\nset = { \"outer.mode\" = 'sync' }\n";
const std::string dn_run =
    "[[compare.run]]\nname = 'DN'\nset = { outer.optimizer = 'delayed-nesterov' }\n";

std::string refusal(const fixture& f, const std::string& table) {
  try {
    f.grid_of(table);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE_FIXTURE(fixture, "the grid is every run in every setting with every budget and seed") {
  const auto g = grid_of(
      "[compare]\nseeds = [7, 8, 9]\n"
      "[compare.vary]\n\"workers.heterogeneity\" = ['none', 'very']\n"
      "quota.local_steps = [10, 50]\n" +
      sync_run + dn_run + "budgets = [1, 1.5]\n");
  REQUIRE(g.settings().size() == 4);
  CHECK(g.settings()[0].label == "workers.heterogeneity = \"none\", quota.local_steps = 10");
  CHECK(g.settings()[3].label == "workers.heterogeneity = \"very\", quota.local_steps = 50");
  CHECK(g.size() == 4 * (3 + 2 * 3));

  const auto cells = g.reported_cells(1, 2, 0);
  REQUIRE(cells.size() == 6);
  CHECK(g.tuning_cells(1, 2).empty());
  const auto& c = g.settings_of(1, 2, 0, 1);
  CHECK(c.workers.heterogeneity == "very");
  CHECK(c.quota.local_steps == 10);
  CHECK(c.outer.optimizer == "delayed-nesterov");
  CHECK(c.run.local_steps == 150);
  CHECK(g.settings_of(0, 2, 0, 0).outer.mode == "sync");
  CHECK(g.settings_of(0, 2, 0, 0).run.local_steps == 100);

  std::set<std::string> names;
  for (std::size_t setting = 0; setting < 4; ++setting) {
    for (std::size_t run = 0; run < 2; ++run) {
      for (const auto& cell : g.reported_cells(run, setting, 0)) names.insert(cell.name);
    }
  }
  CHECK(names.size() == g.size());
}

TEST_CASE_FIXTURE(fixture, "a cell's config, read again, is that cell's") {
  const auto g = grid_of("[compare]\nseeds = [5]\n" + dn_run);
  const auto cells = g.reported_cells(0, 0, 0);
  REQUIRE(cells.size() == 1);
  write_bytes(folder.file("cell.toml"), cells[0].identity);
  const auto c = load_config(folder.file("cell.toml"));
  CHECK(c.run.seed == 5);
  CHECK(c.outer.optimizer == "delayed-nesterov");
  CHECK(c.model.width == 8);
  CHECK(c.inner.precision == "f32");  // not left to the CPU
  CHECK(cells[0].name.find("dn-seed5-") == 0);
}

TEST_CASE_FIXTURE(fixture, "hyper-parameters are tuned with other seeds, on the other half") {
  const auto g = grid_of("[compare]\nseeds = [1, 2]\ntuning_seeds = [101]\n" + sync_run +
                         "tune = { 'outer.lr' = [0.3, 0.7], 'outer.momentum' = [0.5, 0.9] }\n" +
                         dn_run + "fixed = true\n");
  CHECK(g.combinations(0).size() == 4);
  CHECK(describe(g.combinations(0)[1]) == "outer.lr = 0.3, outer.momentum = 0.9");
  CHECK(g.size() == 4 * 1 + 2 + 2);
  CHECK(g.tuning_cells(1, 0).empty());
  for (const auto& c : g.tuning_cells(0, 0)) {
    CHECK(c.seed == 101);
    CHECK(c.identity.find("half = \"a\"") != std::string::npos);
  }
  for (const auto& c : g.reported_cells(0, 0, 2)) {
    CHECK(c.seed < 3);
    CHECK(c.identity.find("half = \"b\"") != std::string::npos);
    CHECK(c.identity.find("lr = 0.7") != std::string::npos);
    CHECK(c.identity.find("momentum = 0.5") != std::string::npos);
  }
  // Where nothing is tuned, all of the held-out data is reported.
  CHECK(grid_of("[compare]\n" + sync_run).settings_of(0, 0, 0, 0).evaluate.half == "all");
}

TEST_CASE_FIXTURE(fixture, "a run's own settings win over what is varied, equal cells are one") {
  const auto g = grid_of(
      "[compare]\nseeds = [1]\n[compare.vary]\nworkers.count = [4, 8]\n"
      "[[compare.run]]\nname = 'single'\nset = { \"workers.count\" = 1 }\n" +
      sync_run);
  CHECK(g.settings_of(0, 1, 0, 0).workers.count == 1);
  CHECK(g.settings_of(1, 1, 0, 0).workers.count == 8);
  CHECK(g.reported_cells(0, 0, 0)[0].name == g.reported_cells(0, 1, 0)[0].name);
  CHECK(g.reported_cells(1, 0, 0)[0].name != g.reported_cells(1, 1, 0)[0].name);
}

TEST_CASE_FIXTURE(fixture,
                  "a run may put out of use what is varied, and is then the same in all settings") {
  const auto g = grid_of(
      "[compare]\nseeds = [1]\n[compare.vary]\nquota.local_steps = [4, 8]\n"
      "[[compare.run]]\nname = 'data-parallel'\n"
      "set = { outer.mode = 'sync', quota.stages = ['0 data-parallel'] }\n" +
      sync_run);
  CHECK(g.reported_cells(0, 0, 0)[0].name == g.reported_cells(0, 1, 0)[0].name);
  CHECK(g.varied_for(0, 1).empty());
  CHECK(g.reported_cells(1, 0, 0)[0].name != g.reported_cells(1, 1, 0)[0].name);
  CHECK(g.varied_for(1, 1).size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a key of the file that a run puts out of use is no error") {
  const auto g = grid_of("[compare]\n" + sync_run + dn_run +
                             "[[compare.run]]\nname = 'SGD'\nset = { outer.optimizer = 'sgd' }\n",
                         {{"outer.momentum", "0.5"}});
  CHECK(g.settings_of(0, 0, 0, 0).outer.momentum == 0.5);
  CHECK(g.settings_of(2, 0, 0, 0).outer.momentum == config().outer.momentum);
}

TEST_CASE_FIXTURE(fixture, "another version of the program has other cells") {
  const auto spec = read_comparison({file_with("[compare]\n" + dn_run)});
  const grid a(spec, {}, "1.0"), b(spec, {}, "1.1");
  CHECK(a.reported_cells(0, 0, 0)[0].name != b.reported_cells(0, 0, 0)[0].name);
}

TEST_CASE_FIXTURE(fixture, "what is wrong is told in one line with place, key and what to do") {
  struct wrong {
    std::string table;
    std::string says;
  };
  const std::string tune = "tune = { 'outer.lr' = [0.3, 0.7] }\n";
  const std::string tuned = "[compare]\ntuning_seeds = [101]\n";
  const std::vector<wrong> table = {
      {"", "has no [compare] table"},
      {"compare = 3", "compare = 3 must be a table"},
      {"[compare]", "nothing to compare"},
      {"[compare]\nsed = [1]\n" + dn_run, "compare.toml:2: unknown key sed in [compare]; there"},
      {"[compare]\nseeds = []\n" + dn_run, "compare.seeds = [] must be a list of whole numbers"},
      {"[compare]\nseeds = [1, 1]\n" + dn_run, "none of them twice"},
      {"[compare]\nseeds = [-1]\n" + dn_run, "whole numbers from 0"},
      {"[compare]\nseeds = 3\n" + dn_run, "compare.seeds = 3 must be"},
      {"[compare]\nparallel = -1\n" + dn_run, "compare.parallel = -1"},
      {"[compare]\ntarget = 0\n" + dn_run, "a loss above 0"},
      {"[compare]\ndirectory = ''\n" + dn_run, "the path of a folder"},
      {"[compare]\nvary = {}\n" + dn_run, "compare.vary = {...} must be a table of config keys"},
      {"[compare.vary]\nworkers.count = []\n" + dn_run, "compare.vary.workers.count = [] must be"},
      {"[compare.vary]\nworkers.count = [4, 4]\n" + dn_run, "none of them twice"},
      {"[compare.vary]\nworkers.cuont = [4]\n" + dn_run, "did you mean workers.count?"},
      {"[compare.vary]\nrun.seed = [4]\n" + dn_run, "compare.vary cannot have run.seed"},
      {"[compare]\nbaseline = 'snyc'\n" + sync_run + dn_run,
       "names \"snyc\", which is no run; there are \"sync\", \"DN\""},
      {"[compare]\nbaseline = ['DN', 'DN']\n" + dn_run, "none of them twice"},
      {dn_run + dn_run, "two runs are called \"DN\""},
      {"[[compare.run]]\nset = {}\n", "needs a name"},
      {dn_run + "colour = 'red'\n", "unknown key colour in a [[compare.run]]; there are name, set"},
      {dn_run + "budgets = [2]\n", "1 among them"},
      {dn_run + "budgets = [1, 0]\n", "numbers above 0"},
      {"[[compare.run]]\nname = 'M'\nset = { \"outer.optimizer\" = 'magic' }\n",
       "compare.toml:1 (run \"M\"): outer.optimizer = \"magic\" must be one of \"sgd\""},
      {"[[compare.run]]\nname = 'M'\nset = { \"outer.bufer\" = 4 }\n",
       "(run \"M\"): unknown key outer.bufer = 4; did you mean outer.buffer?"},
      {"[[compare.run]]\nname = 'M'\nset = { \"outer.buffer\" = 4 }\n",
       "outer.buffer = 4 is not used with outer.optimizer = \"nesterov\""},
      {"[[compare.run]]\nname = 'M'\nset = { outer.mode = 'sync', outer.optimizer = "
       "'delayed-nesterov' }\n",
       "takes updates one at a time"},
      {"[[compare.run]]\nname = 'M'\nset = { run.local_steps = 200 }\n", "use budgets"},
      {"[[compare.run]]\nname = 'M'\nset = { run.seed = 2 }\n", "the comparison sets it itself"},
      {"[[compare.run]]\nname = 'M'\nset = { model.width = 16 }\n",
       "model.width must be the same for all runs of a comparison"},
      {"[[compare.run]]\nname = 'M'\nset = { inner.precision = 'bf16' }\n",
       "the same for all runs"},
      {tuned + dn_run, "compare.tuning_seeds is of no use"},
      {"[compare]\n" + dn_run + tune, "compare.tuning_seeds is missing"},
      {"[compare]\ntuning_seeds = [3]\n" + dn_run + tune,
       "seed 3 is both in compare.seeds and in compare.tuning_seeds"},
      {tuned + dn_run + tune + sync_run,
       "run \"sync\" tunes over 0 combinations, but \"DN\" (" /* path */},
      {tuned + dn_run + tune + sync_run + "tune = { 'outer.lr' = [0.1, 0.3, 0.7] }\n",
       "tunes over 3 combinations"},
      {tuned + dn_run + tune + "fixed = true\n", "both tune and fixed"},
      {"[compare]\n" + dn_run + "fixed = true\n", "no run is tuned"},
      {tuned + dn_run + "tune = { 'outer.optimizer' = ['sgd'] }\n", "both in set and in tune"},
      {tuned + dn_run + tune + "[compare.vary]\nouter.lr = [1]\n", "both in [compare.vary] and"},
      {tuned + dn_run + tune + "[compare.vary]\nevaluate.on = ['training']\n",
       "evaluate.on = \"training\" cannot be kept"},
  };
  for (const auto& row : table) {
    CAPTURE(row.table);
    const auto told = refusal(*this, row.table);
    CHECK_MESSAGE(told.find(row.says) != std::string::npos, told);
    CHECK(told.find('\n') == std::string::npos);
  }
}

TEST_CASE_FIXTURE(fixture, "neither the wall clock nor a folder of one's own can be compared") {
  const auto told = [&](const std::string& key, const std::string& value) {
    try {
      grid_of(dn_run, {{key, value}});
    } catch (const usage_error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(told("clock.mode", "wall").find("needs \"virtual\"") != std::string::npos);
  CHECK(told("run.directory", "x").find("a folder of its own") != std::string::npos);
  CHECK(told("run.local_steps", "200") == "accepted");
}

TEST_CASE_FIXTURE(fixture, "a file with a comparison is not the config of one run") {
  try {
    load_config(file_with(dn_run));
    FAIL("accepted");
  } catch (const usage_error& error) {
    CHECK(std::string(error.what()).find("`rubato compare ") != std::string::npos);
  }
}
