// How many local steps a worker takes in its next round: the same for all, or in proportion to its
// speed so that all finish together (DyLU, Liu et al. 2024, Eq 6).
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "config/config.hpp"
#include "coordination/types.hpp"

namespace rubato {

class quota_policy {
 public:
  explicit quota_policy(const config::quota_section& quota);

  /// A worker takes part from now on; `pace` is its time a step if that is known beforehand and
  /// `quota.speeds` asks to use it (0: not known).
  void add(worker_id worker, run_time pace);
  void remove(worker_id worker);

  /// A finished round: updates the estimate of the worker's pace where speeds are measured.
  void observe(worker_id worker, std::uint32_t steps, run_time compute_time);

  /// fixed: H. dylu: floor(v(w) / max v * H), at least 1; a worker of unknown speed gets
  /// min(H, 5) steps to be measured by. O(log n).
  std::uint32_t steps(worker_id worker) const;

 private:
  void set_pace(worker_id worker, double pace);

  bool adaptive_;
  bool measured_;
  std::int64_t local_steps_;
  std::map<worker_id, double> pace_;  // nanoseconds a step; 0: unknown
  std::multiset<double> known_;       // the known paces, fastest first
};

}  // namespace rubato
