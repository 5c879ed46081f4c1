// What a comparison's file says in its [compare] table: which runs, in which settings, with which
// seeds. Read and checked by itself here; what the settings make of a config is grid.hpp's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/load.hpp"

namespace rubato {

/// A config key and the values that it is to take, each as TOML.
struct axis {
  std::string key;
  std::vector<std::string> values;
};

/// The product of all axes, the last one fastest; of none, one combination without settings.
std::vector<override_list> product(const std::vector<axis>& axes);

/// One [[compare.run]]: a method.
struct compared_run {
  std::string name;
  std::string place;                    // "file:line"
  override_list set;                    // what makes it this method
  std::vector<axis> tune;               // hyper-parameters to be chosen, and from what
  bool fixed = false;                   // on purpose not tuned, where others are
  std::vector<double> budgets = {1.0};  // multiples of run.local_steps; 1 is among them

  /// The index of budget 1.
  std::size_t whole_budget() const;
};

struct comparison_spec {
  std::vector<std::string> paths;  // all files, the config of the runs in layers
  std::string path;                // the one of them with the [compare] table
  std::string directory;
  std::vector<std::uint64_t> seeds = {1, 2, 3};
  std::vector<std::uint64_t> tuning_seeds;
  std::vector<std::size_t> baselines;  // runs that the others' speed-ups are stated against
  std::int64_t parallel = 0;           // runs at a time; 0: as many as keep the cores busy
  std::optional<double> target;        // loss; else the worst final one of each pair of runs
  std::vector<axis> vary;              // the settings: what is varied for all runs alike
  std::vector<compared_run> runs;

  /// Some run has hyper-parameters to choose.
  bool tunes() const;
};

/// Reads the [compare] table, which one of the files has. Throws usage_error, one line that names
/// file, line, key, value and what is allowed.
comparison_spec read_comparison(const std::vector<std::string>& paths);

}  // namespace rubato
