// Which of the run's workers a node gets. The run has workers.count of them, named by number;
// those of a node that has gone are there for the next one.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "coordination/types.hpp"

namespace rubato {

class roster {
 public:
  /// Of the workers 0 .. count - 1, all free.
  explicit roster(worker_id count);

  /// Takes `wanted` workers, or as many as are free: first those of `before`, which a node had when
  /// it was here before, then those with the lowest numbers. In ascending order.
  std::vector<worker_id> take(std::uint32_t wanted, const std::vector<worker_id>& before);

  /// They are free again.
  void give_back(const std::vector<worker_id>& workers);

  std::size_t free() const { return free_.size(); }

 private:
  std::set<worker_id> free_;
};

}  // namespace rubato
