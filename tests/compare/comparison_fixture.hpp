// A comparison on the toy in a temporary folder, and results made up for its cells.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compare/execution.hpp"
#include "compare/folder.hpp"
#include "compare/grid.hpp"
#include "compare/spec.hpp"
#include "tests/storage/temporary_folder.hpp"

namespace rubato {

struct comparison_fixture {
  /// The file: `table` is what stands in [compare], before the config that is the same for all.
  std::string file_with(const std::string& table) const {
    const auto path = folder.file("compare.toml");
    write_bytes(path, table +
                          "\n[run]\nname = 'toy'\nlocal_steps = 100\n"
                          "[data]\nkind = 'gaussian-mixtures'\n"
                          "[model]\nkind = 'mlp'\nwidth = 8\n"
                          "[outer]\noptimizer = 'nesterov'\n"
                          "[quota]\npolicy = 'fixed'\n");
    return path;
  }
  grid grid_of(const std::string& table, const override_list& overrides = {}) const {
    return grid(read_comparison({file_with(table)}), overrides, "1.0");
  }

  temporary_folder folder;
};

/// Writes what a finished run leaves: a curve of one evaluation every 10 local steps and virtual
/// seconds, the first before the first step.
inline void write_run(const std::string& directory, const std::vector<double>& losses,
                      const std::string& outcome = "finished") {
  std::string metrics, updates;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const auto steps = 10 * i;
    metrics += nlohmann::json({{"local_steps", steps},
                               {"tokens", 4 * steps},
                               {"clock_seconds", static_cast<double>(steps)},
                               {"loss", losses[i]}})
                   .dump() +
               '\n';
    if (i == 0) continue;
    updates += nlohmann::json({{"assigned_seconds", static_cast<double>(steps) - 10.0},
                               {"settled_seconds", static_cast<double>(steps)},
                               {"fate", "applied"}})
                   .dump() +
               '\n';
  }
  const auto steps = 10.0 * static_cast<double>(losses.size() - 1);
  const nlohmann::json summary = {{"outcome", outcome},
                                  {"unit", "point"},
                                  {"evaluated_on", "held-out"},
                                  {"local_steps", steps},
                                  {"tokens", 4.0 * steps},
                                  {"epochs", 0.5},
                                  {"workers", 4},
                                  {"parameters", 100},
                                  {"server_version", losses.size() - 1},
                                  {"clock_seconds", steps},
                                  {"wall_seconds", 2.0},
                                  {"utilisation", 0.5},
                                  {"staleness", {{"mean", 1.5}}},
                                  {"updates", {{"applied", losses.size() - 1}, {"stale", 1}}},
                                  {"bytes", {{"down", 1000}, {"up", 500}}},
                                  {"final", {{"accuracy", 0.75}, {"bits_per_byte", nullptr}}},
                                  {"params_sha256", "abc"}};
  write_bytes(directory + "/updates.jsonl", updates);
  write_bytes(directory + "/metrics.jsonl", metrics);
  write_bytes(directory + "/summary.json", summary.dump());
}

}  // namespace rubato
