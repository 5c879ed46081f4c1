// How a run is told to the page (page/page.js has the form): from rounds, evaluations and changes
// of workers, be they read from a run directory (report.cpp) or told as they happen (live_run.cpp).
// Internal to monitoring/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rubato {

constexpr std::size_t workers_shown = 32;

/// Seven significant digits, which is more than a chart or table shows; null for NaN and infinity.
nlohmann::json shortened(double value);
/// The same for each number in `value` that is not whole.
nlohmann::json shortened(const nlohmann::json& value);

/// Calls `use` with each line of a .jsonl file; there need not be one. A last line that is not
/// whole is left out. Throws usage_error naming file and line.
void for_each_line(const std::filesystem::path& path,
                   const std::function<void(const nlohmann::json&)>& use);

/// The pairs of key and value in TOML, in the order of the text, which has one a line, as to_toml()
/// (config/load.hpp) writes it. It is not loaded with load_config(), so that runs of other versions
/// of the program can be shown too.
nlohmann::json config_pairs(const std::string& toml);

/// What the page needs of summary.json. Throws nlohmann::json::exception if it is none.
nlohmann::json shown_summary(const nlohmann::json& content);

/// What the page needs of a line of updates.jsonl.
struct round_record {
  std::uint32_t worker = 0;
  std::string fate;
  std::uint64_t base = 0;
  std::uint64_t version = 0;
  std::uint64_t staleness = 0;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  double loss = 0.0;                // training loss; NaN: none
  double cosine_to_momentum = 0.0;  // NaN: none
  double cosine_to_others = 0.0;    // NaN: none
  double assigned = 0.0;
  double compute = 0.0;
  double settled = 0.0;
  double received = 0.0;  // how long its version travelled, and ...
  double sent = 0.0;      // ... its update

  bool applied() const { return fate == "applied"; }
  bool arrived() const { return fate != "abandoned" && fate != "run_ended" && fate != "duplicate"; }
};

/// A line of updates.jsonl. Throws nlohmann::json::exception if it is none.
round_record to_round(const nlohmann::json& line);

/// What had arrived before the first round of a list.
struct rounds_before {
  std::int64_t local_steps = 0;
  std::int64_t tokens = 0;
};

/// Puts into `run` what became of the rounds: "fates", "training", "staleness_over_time", "cosine"
/// and "cosine_to_others".
void put_rounds(const std::vector<round_record>& rounds, nlohmann::json& run,
                rounds_before before = {});

/// The rounds of the workers that are shown, those that were given out first or, with `latest`,
/// last, up to `limit`: {"from", "until": the times between which none is missing, "rounds":
/// [[worker, fate, base, version, staleness, steps, assigned, compute, settled]...]}.
nlohmann::json timeline(const std::vector<round_record>& rounds, std::size_t limit,
                        bool latest = false);

/// What is in metrics.jsonl: evaluations, quotas and changes of workers.
class metrics_history {
 public:
  metrics_history();
  /// Takes a line; `bytes` were sent until then, NaN if that is not known. Throws
  /// nlohmann::json::exception if it is none.
  void add(const nlohmann::json& line, double bytes);
  /// Puts into `run`: "evaluations", each key's values in one list; "quotas" where they changed,
  /// [[time, [quota of each worker]]...]; and "changes" of workers.
  void put_into(nlohmann::json& run) const;

 private:
  nlohmann::json columns_ = nlohmann::json::object();
  nlohmann::json quotas_ = nlohmann::json::array();
  nlohmann::json changes_ = nlohmann::json::array();
};

}  // namespace rubato
