// The comparisons that come with Rubato: each is checked whole, as `rubato compare` does before it
// starts anything.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "compare/grid.hpp"

namespace rubato {
namespace {

std::string shipped(const std::string& name) {
  return RUBATO_SOURCE_DIR "/config/" + name;
}

/// Cells of the comparison that these files make.
std::size_t cells(const std::vector<std::string>& names) {
  std::vector<std::string> paths;
  for (const auto& name : names) paths.push_back(shipped(name));
  return grid(read_comparison(paths), {}, "1.0").size();
}

/// The files in a folder whose names begin so.
std::vector<std::string> files(const std::string& folder, const std::string& prefix) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(shipped(folder))) {
    const auto name = entry.path().filename().string();
    if (name.starts_with(prefix)) found.push_back(folder + '/' + name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

TEST_CASE(
    "every experiment of Liu et al. 2024 is a valid comparison, small and in the paper's size") {
  const std::string folder = "async-local-sgd";
  auto experiments = files(folder, "figure-");
  const auto tables = files(folder, "table-");
  experiments.insert(experiments.end(), tables.begin(), tables.end());
  experiments.push_back(folder + "/methods.toml");
  CHECK(experiments.size() >= 12);
  for (const auto& experiment : experiments) {
    CAPTURE(experiment);
    if (experiment == folder + "/figure-9.toml") {  // the toy, complete in itself
      CHECK(cells({experiment}) > 0);
      continue;
    }
    CHECK(cells({folder + "/small.toml", experiment}) > 0);
    CHECK(cells({folder + "/linux-docs.toml", experiment}) > 0);
    for (const std::string size : {"20m", "60m", "150m"}) {
      CHECK(cells({folder + "/c4.toml", folder + '/' + size + ".toml", experiment}) > 0);
    }
  }
}

TEST_CASE("what the experiments start from is pre-trained by one worker") {
  for (const std::string size : {"small.toml", "linux-docs.toml", "c4.toml"}) {
    const auto c = load_config(
        {.paths = {shipped("async-local-sgd/" + size), shipped("async-local-sgd/pretrain.toml")}});
    CHECK(c.run.init.empty());
    CHECK(c.workers.count == 1);
    CHECK(c.outer.optimizer == "sgd");
  }
}

TEST_CASE("the sweeps are comparisons over the quickstart") {
  CHECK(cells({"quickstart.toml", "compare/local-steps.toml"}) > 0);
  CHECK(cells({"quickstart.toml", "compare/outer-lr.toml"}) > 0);
  CHECK(cells({"quickstart.toml", "compare/codecs.toml"}) > 0);
}

TEST_CASE("the trade-offs of Local SGD are valid comparisons, small and in the paper's size") {
  CHECK(cells({"images/tradeoff-small.toml"}) > 0);
  CHECK(cells({"images/tradeoff-imagenet.toml"}) > 0);
  CHECK(cells({"images/slow-momentum-small.toml"}) == 26);
}

TEST_CASE("the comparison of the toy is complete in itself") {
  CHECK(cells({"compare/toy.toml"}) == 50);
}

}  // namespace
}  // namespace rubato
