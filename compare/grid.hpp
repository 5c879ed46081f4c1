// From the file of a comparison to its cells: each one training run with a complete config of its
// own. All of them are checked here, before anything is started. Not here: running them
// (execution.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "compare/spec.hpp"
#include "config/config.hpp"

namespace rubato {

/// What is the same for all runs of a part of the grid.
struct setting {
  override_list values;  // of the keys in [compare.vary]
  std::string label;     // "workers.heterogeneity = "very"", empty if nothing is varied
};

/// One training run of the grid.
struct cell {
  std::size_t run = 0;          // index of the method
  std::size_t setting = 0;      // index of the setting
  std::size_t combination = 0;  // index of the hyper-parameters; 0 where none are tuned
  std::size_t budget = 0;       // index of the multiple of run.local_steps
  std::uint64_t seed = 0;
  bool tuning = false;  // its result chooses hyper-parameters and is not reported
  /// The whole config and the version of the program, as text: what makes it this cell. Folder and
  /// threads are not in it; they have no effect on results.
  std::string identity;
  std::string name;   // of its folder: "dn-dylu-seed1-0123456789abcdef"
  double work = 0.0;  // about how much there is to compute, in a unit of its own
};

/// "heterogeneity = "very"": settings as people read them, joined by commas.
std::string describe(const override_list& settings);

/// Immutable once constructed.
class grid {
 public:
  /// Makes and checks every effective config: the file, `overrides` over it, then what is varied,
  /// the run's own settings (which win over what is varied), and what is tuned. Transformers
  /// compute in f32 unless the file says otherwise. `version` is the program's.
  /// Throws usage_error, one line.
  grid(comparison_spec spec, const override_list& overrides, std::string version);

  const comparison_spec& spec() const { return spec_; }
  const std::vector<setting>& settings() const { return settings_; }
  /// What of the setting is the run's too: without the keys that it sets itself, or puts out
  /// of use.
  override_list varied_for(std::size_t run, std::size_t setting) const;
  /// What the run tries for its hyper-parameters; one empty entry if nothing.
  const std::vector<override_list>& combinations(std::size_t run) const {
    return combinations_[run];
  }
  /// The effective config, with the first seed.
  const config& settings_of(std::size_t run, std::size_t setting, std::size_t combination,
                            std::size_t budget) const;

  /// Empty if the run has nothing to tune.
  std::vector<cell> tuning_cells(std::size_t run, std::size_t setting) const;
  std::vector<cell> reported_cells(std::size_t run, std::size_t setting,
                                   std::size_t combination) const;
  /// How many of both kinds there are.
  std::size_t size() const;

  /// The base config's run.name and run.threads.
  const std::string& name() const { return configs_.front().run.name; }
  std::int64_t threads() const { return configs_.front().run.threads; }

 private:
  config effective_config(layered_config layers, double budget) const;
  std::size_t index(std::size_t run, std::size_t setting, std::size_t combination,
                    std::size_t budget) const;
  cell make_cell(std::size_t run, std::size_t setting, std::size_t combination, std::size_t budget,
                 std::uint64_t seed, bool tuning) const;

  comparison_spec spec_;
  std::string version_;
  std::vector<setting> settings_;
  std::vector<std::vector<override_list>> combinations_;  // of each run
  std::vector<std::size_t> first_;                        // of each run, its first config
  std::vector<config> configs_;                           // by run, setting, combination and budget
};

/// "DN, workers.heterogeneity = "very", budget 1.5": what the cells of all seeds have in common.
std::string method_text(const grid& g, const cell& c);
/// The same with hyper-parameters and seed.
std::string cell_text(const grid& g, const cell& c);

}  // namespace rubato
