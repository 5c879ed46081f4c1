#include "optim/update_cosines.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "optim/reductions.hpp"

namespace rubato {

void update_cosines::set(std::uint32_t worker, version_ptr delta) {
  auto& own = latest_[worker];
  own.delta = std::move(delta);
  const auto values = own.delta->span().first(size_);
  own.norm = std::sqrt(sum_of_squares(values));
  for (auto& [other, entry] : latest_) {
    if (other == worker) continue;
    // Rounding may bring equal directions past 1; 0 / 0 is NaN and stays so.
    const double ratio = dot(values, entry.delta->span().first(size_)) / (own.norm * entry.norm);
    own.cosines[other] = entry.cosines[worker] = std::clamp(ratio, -1.0, 1.0);
  }
}

double update_cosines::mean_to_others(std::uint32_t worker) const {
  const auto found = latest_.find(worker);
  if (found == latest_.end() || found->second.cosines.empty()) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  double sum = 0.0;
  for (const auto& [other, cosine] : found->second.cosines) sum += cosine;
  return sum / static_cast<double>(found->second.cosines.size());
}

std::map<std::uint32_t, version_ptr> update_cosines::latest() const {
  std::map<std::uint32_t, version_ptr> result;
  for (const auto& [worker, entry] : latest_) result.emplace(worker, entry.delta);
  return result;
}

}  // namespace rubato
