// A run that is going on, as the live page shows it: fed through a probe, read as JSON of the same
// form as a report's data (page/page.js). Its memory is bounded: of long runs it knows the newest
// rounds.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "monitoring/probes.hpp"

namespace rubato {

/// Rounds that a live_run remembers; their newest, for charts over time and counts.
constexpr std::size_t live_rounds = 20'000;

/// Thread-safe: one thread may feed it while others read.
class live_run final : public run_probe {
 public:
  /// `config_toml` is the effective config; `real_seconds` a steady clock that is called from all
  /// threads.
  live_run(const std::string& version, const std::string& config_toml,
           std::function<double()> real_seconds);
  ~live_run() override;

  /// Takes what the run directory has of the time before the run went on.
  void began(const run_plan& plan) override;
  void assigned(const round_begun& round) override;
  void settled(const round_ended& round) override;
  void read(const server_reading& reading) override;
  void evaluated(const evaluation& e) override;
  void worker_changed(const worker_change_record& change) override;
  void ended(const run_summary& summary) override;

  /// The run has begun.
  bool has_begun() const;

  /// What the page reads: report_data() of one run, and "live": {"phase": "starting", "running" or
  /// "ended", "plan": {...}, "clock_seconds", "workers": [[worker, "working" or "waiting", base
  /// version, steps, since]...]}. At most twice a second it is made anew.
  std::string text();

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace rubato
