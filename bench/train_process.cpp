#include "bench/train_process.hpp"

#include <fstream>

#include "bench/child_process.hpp"
#include "bench/measurement.hpp"

namespace rubato {

train_outcome train_in_process(const std::vector<std::string>& settings) {
  const scratch_folder folder;
  const auto file = folder.path() + "/bench.toml";
  std::ofstream(file) << "# All is said on the command line.\n";
  std::vector<std::string> words{this_program(),
                                 "train",
                                 file,
                                 "--json",
                                 "--run.directory",
                                 folder.path() + "/run",
                                 "--quota.policy",
                                 "fixed",
                                 "--quota.local_steps",
                                 "1",
                                 "--evaluate.every_local_steps",
                                 "1000000000",
                                 "--evaluate.batches",
                                 "1",
                                 "--checkpoint.every_versions",
                                 "0",
                                 "--journal.enabled",
                                 "false",
                                 "--monitor.listen",
                                 ""};
  words.insert(words.end(), settings.begin(), settings.end());
  child_process run(std::move(words));
  auto summary = nlohmann::json::parse(run.finish());
  return {std::move(summary), run.peak_memory()};
}

}  // namespace rubato
