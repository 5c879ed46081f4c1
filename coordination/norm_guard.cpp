#include "coordination/norm_guard.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace rubato {
namespace {

/// Of an even number the lower one of the two in the middle.
double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

norm_guard::norm_guard(double limit) : limit_(limit) {}

bool norm_guard::admits(double norm, std::uint32_t steps) {
  if (limit_ <= 0.0) return true;
  // An update that is exactly zero is short, not long.
  const double length = std::log(std::max(norm, std::numeric_limits<double>::min())) -
                        0.5 * std::log(static_cast<double>(std::max<std::uint32_t>(1, steps)));
  bool usual = true;
  if (recent_.size() >= needed) {
    std::vector<double> values(recent_.begin(), recent_.end());
    const double middle = median(values);
    for (double& x : values) x = std::abs(x - middle);
    const double spread = std::max(1.4826 * median(std::move(values)), smallest_spread);
    usual = length - middle <= limit_ * spread;
  }
  recent_.push_back(length);
  if (recent_.size() > memory) recent_.pop_front();
  return usual;
}

}  // namespace rubato
