// How fast each simulated worker and its link are: the heterogeneity presets, jitter, latency and
// bandwidth, as times on the virtual clock.
#pragma once

#include <cstdint>
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

  /// Time a step, rounded once to whole nanoseconds; jitter left out.
  run_time pace(worker_id worker) const { return pace_.at(worker); }

  /// The times of a worker's n-th round. The lognormal jitter factor exp(sigma z - sigma^2 / 2)
  /// has mean 1 and is a function of (seed, worker, incarnation, round) alone.
  round_timing round(const update_id& id, std::uint32_t steps, std::uint64_t bytes_down,
                     std::uint64_t bytes_up) const;

 private:
  run_time transfer(worker_id worker, std::uint64_t bytes) const;

  std::uint64_t seed_;
  double jitter_;
  std::vector<run_time> pace_;
  std::vector<run_time> latency_;
  std::vector<double> bandwidth_mbit_;  // 0: unlimited
};

}  // namespace rubato
