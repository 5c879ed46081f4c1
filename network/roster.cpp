#include "network/roster.hpp"

#include <algorithm>

namespace rubato {

roster::roster(worker_id count) {
  for (worker_id i = 0; i < count; ++i) free_.insert(free_.end(), i);
}

std::vector<worker_id> roster::take(std::uint32_t wanted, const std::vector<worker_id>& before) {
  std::vector<worker_id> taken;
  for (const auto worker : before) {
    if (taken.size() < wanted && free_.erase(worker) > 0) taken.push_back(worker);
  }
  while (taken.size() < wanted && !free_.empty()) {
    taken.push_back(*free_.begin());
    free_.erase(free_.begin());
  }
  std::sort(taken.begin(), taken.end());
  return taken;
}

void roster::give_back(const std::vector<worker_id>& workers) {
  free_.insert(workers.begin(), workers.end());
}

}  // namespace rubato
