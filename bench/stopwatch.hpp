// What a stretch of training costs, taken from the inside of a run.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "monitoring/observer.hpp"

namespace rubato {

/// Of one measurement.
struct step_cost {
  std::int64_t tokens = 0;    // or points: what was learned from
  double cpu_seconds = 0.0;   // of all threads of the process, user and system
  double wall_seconds = 0.0;  // real time

  double cpu_microseconds_per_token() const {
    return 1e6 * cpu_seconds / static_cast<double>(tokens);
  }
  double tokens_per_second() const { return static_cast<double>(tokens) / wall_seconds; }
};

/// What this process has used up so far.
struct resource_reading {
  double cpu_seconds = 0.0;
  std::chrono::steady_clock::time_point at;

  static resource_reading now();
};

step_cost cost_between(const resource_reading& begin, const resource_reading& end,
                       std::int64_t tokens);

/// Goes from the end of the first round after the warm-up and the first evaluation to the end of
/// the last round: without the start, the evaluations and the files of a run, which do not grow
/// with its length.
class stopwatch final : public run_observer {
 public:
  /// In local steps; `budget` is the run's.
  stopwatch(std::int64_t warm_up, std::int64_t budget) : warm_up_(warm_up), budget_(budget) {}

  void started(const run_plan& plan) override { plan_ = plan; }
  void evaluated(const evaluation&) override { first_evaluated_ = true; }
  void progressed(const progress& p) override;

  /// After the run; nothing if it ended before its first evaluation.
  const std::optional<step_cost>& cost() const { return cost_; }
  const run_plan& plan() const { return plan_; }

 private:
  std::int64_t warm_up_;
  std::int64_t budget_;
  run_plan plan_;
  bool first_evaluated_ = false;
  std::int64_t tokens_before_ = 0;
  std::optional<resource_reading> begin_;
  std::optional<step_cost> cost_;
};

}  // namespace rubato
