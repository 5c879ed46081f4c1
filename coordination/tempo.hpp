// How fast each worker and its link are, where that is simulated: the heterogeneity presets,
// jitter, latency and bandwidth, and what workers.events does to paces while the run goes on.
// Everything is known beforehand, so a round's times are known when it is assigned.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/config.hpp"
#include "coordination/types.hpp"

namespace rubato {

/// Seconds a step of each worker: workers.seconds_per_step, or the preset `workers.heterogeneity`
/// repeated cyclically. "very" is the notebook of Liu et al. 2024; the other presets are ours.
std::vector<double> seconds_per_step(const config::workers_section& workers);

class tempo {
 public:
  explicit tempo(const config& c);

  /// What workers.events changes after the start, in order. A worker that is away has no changes of
  /// pace; its pace when it joins is what it would be had it stayed.
  const std::vector<worker_change>& changes() const { return changes_; }

  /// Time a step at that time, jitter left out, in whole nanoseconds. 0: the worker pauses.
  run_time pace(worker_id worker, run_time at) const { return segment(worker, at)->pace; }

  /// As pace(), but of a worker that pauses the pace after it.
  run_time moving_pace(worker_id worker, run_time at) const;

  /// The times of a round that is assigned at `at`; all zero where nothing is simulated. A pace
  /// that changes in mid-round changes the time of the steps that are left; a pause prolongs the
  /// round. The lognormal jitter factor exp(sigma z - sigma^2 / 2) has mean 1 and is a function of
  /// (seed, worker, incarnation, round) alone.
  /// `before`: a round that the worker still computes or sends then (network.overlap). Steps begin
  /// when its are done, and its update has the link first; both waits count as parts of the
  /// transfers beside them.
  round_timing round(const update_id& id, std::uint32_t steps, run_time at,
                     std::uint64_t bytes_down, std::uint64_t bytes_up,
                     const assignment* before = nullptr) const;

  /// How many steps of the round are done at the first moment between two steps, or before or after
  /// them, that is not before `time`; none if that is after the last step, or nothing is simulated.
  std::optional<std::uint32_t> steps_before(const assignment& round, run_time time) const;

  /// How long so many bytes take on the worker's link, one way; 0 where nothing is simulated.
  run_time transfer(worker_id worker, std::uint64_t bytes) const;

 private:
  struct pace_segment {  // from `from` to the next segment's
    run_time from;
    run_time pace;  // 0: no steps; never the last segment
  };
  using pace_trace = std::vector<pace_segment>;

  pace_trace::const_iterator segment(worker_id worker, run_time at) const;
  run_time compute(const update_id& id, std::uint32_t steps, run_time begin) const;

  bool simulated_;
  std::uint64_t seed_;
  double jitter_;
  std::vector<pace_trace> traces_;
  std::vector<worker_change> changes_;
  std::vector<run_time> latency_;
  std::vector<double> bandwidth_mbit_;  // 0: unlimited
};

}  // namespace rubato
