// Going on with a run: whether a folder holds one to go on with, what its newest good checkpoint
// says, and which settings may have changed since. Not here: who is given what of it (actors/).
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "recovery/journal_tail.hpp"
#include "recovery/snapshot.hpp"
#include "storage/file_system.hpp"
#include "storage/run_directory.hpp"

namespace rubato {

/// The folder in a run directory that checkpoints are in.
std::string checkpoint_folder(const std::string& directory);

/// As run_directory::state, but a run that a signal ended is one to go on with.
run_state state_of_run(const std::string& directory);

/// A setting that a run depends on and that two configs have differently.
struct changed_setting {
  std::string key;
  std::string before;  // as TOML
  std::string after;
};

/// All of them, in the order of the keys: those that the weights depend on, and whether there is a
/// journal. What a run does not depend on: settings of a node, and how often is evaluated, recorded
/// and saved.
std::vector<changed_setting> changed_settings(const config& before, const config& after);

/// Throws usage_error, naming the key and both values, if there is any of them.
void check_settings(const config& saved, const config& now);

/// The content of a checkpoint.
struct restored_run {
  file_header header;
  snapshot run;
  nlohmann::json record;
  std::map<worker_id, std::shared_ptr<worker_snapshot>> workers;
  std::vector<std::string> skipped;            // why newer ones were not taken, a line each
  std::optional<journal_extent> journal = {};  // that it goes on with
};

/// The newest one that is whole, without its journal; nothing if there is none at all. Throws
/// file_error if none of those that are there is whole, run_error if it is not one of a run.
/// The states of workers' optimizers come to lie in `states_in`, see state_folder(), one by one.
std::unique_ptr<restored_run> restore_run(file_system& files, const std::string& directory,
                                          const std::string& states_in = {});

}  // namespace rubato
