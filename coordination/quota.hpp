// How many local steps a worker takes in its next round: the same for all, or in proportion to its
// speed so that all finish together (DyLU, Liu et al. 2024, Eq 6).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>

#include "config/config.hpp"
#include "coordination/own_policies.hpp"
#include "coordination/types.hpp"

namespace rubato {

class quota_policy {
 public:
  explicit quota_policy(const config& c);

  /// A worker takes part from now on; `pace` is its time a step, used if paces are given.
  void add(worker_id worker, run_time pace);
  /// The pace of one who takes part has changed; nothing happens where paces are measured.
  void change(worker_id worker, run_time pace);
  void remove(worker_id worker);

  /// H, of which a full round consists from now on.
  void set_local_steps(std::int64_t local_steps) { local_steps_ = local_steps; }

  /// A finished round: updates the estimate of the worker's pace where speeds are measured.
  void observe(worker_id worker, std::uint32_t steps, run_time compute_time);

  /// fixed: H. dylu: floor(v(w) / max v * H), at least 1; a worker of unknown speed gets
  /// min(H, 5) steps to be measured by. A registered rule: what it says; throws run_error unless
  /// that is a number of steps. O(log n).
  std::uint32_t steps(worker_id worker) const;

  /// The paces; see coordinator::restore.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  void set_pace(worker_id worker, double pace);
  std::uint32_t steps_by_rule(double pace) const;

  std::string name_;  // quota.policy
  quota_rule rule_;   // empty for Rubato's own policies
  bool adaptive_;
  bool measured_;
  std::int64_t local_steps_;
  std::map<worker_id, double> pace_;  // nanoseconds a step; 0: unknown
  std::multiset<double> known_;       // the known paces, fastest first
};

}  // namespace rubato
