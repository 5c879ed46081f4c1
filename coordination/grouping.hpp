// Hierarchical averaging: neighbouring workers form groups that average among themselves after each
// round; after every few rounds all of them do, with the outer optimizer (PyTorch's
// HierarchicalModelAverager with two periods, of which the largest that is due wins).
// Whose turn it is; not the averaging (optim/merger.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "config/config.hpp"
#include "coordination/types.hpp"

namespace rubato {

using group_id = std::uint32_t;

/// Between two global steps a group goes through its rounds at its own tempo. It is not concerned
/// with who is there: a group whose workers have left is waited for by nobody.
class grouping {
 public:
  /// By outer.group_size and outer.group_rounds. Unless active(), only that may be called.
  explicit grouping(const config& c);

  /// Groups average between global steps.
  bool active() const { return rounds_ > 1; }

  group_id of(worker_id worker) const { return static_cast<group_id>(worker / size_); }

  /// The worker has a round to do; it no longer has: it handed it in or was lost.
  void assigned(worker_id worker) { at(worker).outstanding += 1; }
  void released(worker_id worker) { at(worker).outstanding -= 1; }
  /// What it handed in, of so many steps, counts for its group's round, be it refused or not.
  void arrived(worker_id worker, std::uint32_t steps);

  /// Groups that have done a round and average now, in ascending order. One that has done its last
  /// before the next global step is not among them: it waits for the others.
  std::vector<group_id> due() const;

  /// The group goes on with another round; `averaged`: from parameters of its own.
  void next_round(group_id group, bool averaged);

  /// All groups start from the new version.
  void synchronised();

  /// The worker's group has parameters of its own.
  bool apart(worker_id worker) const { return at(worker).rounds > 0; }

  /// Mean steps of each worker of the group since the last global step.
  std::int64_t steps(worker_id worker) const { return at(worker).local_steps / size_; }

  /// Where each group is; see coordinator::restore. Good for any config.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  struct group {
    std::size_t outstanding = 0;   // rounds of its workers
    std::size_t arrived = 0;       // in this round
    std::int64_t rounds = 0;       // averaged since the last global step
    std::int64_t local_steps = 0;  // since then, of its workers together
  };

  group& at(worker_id worker) { return groups_.at(of(worker)); }
  const group& at(worker_id worker) const { return groups_.at(of(worker)); }

  std::int64_t size_;    // workers in a group
  std::int64_t rounds_;  // from one global step to the next
  std::vector<group> groups_;
};

}  // namespace rubato
