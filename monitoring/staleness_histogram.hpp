// How often each staleness occurred, exactly: integers in, so no bins and no approximation.
// Not here: how staleness is measured or weighed (coordination/).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>

#include "monitoring/observer.hpp"

namespace rubato {

/// Memory grows with the number of distinct values only. Not thread-safe.
class staleness_histogram {
 public:
  void add(std::uint64_t staleness) {
    ++counts_[staleness];
    ++total_;
    sum_ += staleness;
  }

  std::uint64_t total() const { return total_; }

  /// 0 if nothing was added, as for percentile().
  double mean() const {
    return total_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(total_);
  }

  /// The smallest value that at least `percent` (1..100) percent of all values do not exceed.
  std::uint64_t percentile(std::uint64_t percent) const {
    const std::uint64_t rank = (total_ * percent + 99) / 100;  // rounded up, in integers
    std::uint64_t seen = 0;
    for (const auto& [staleness, count] : counts_) {
      seen += count;
      if (seen >= rank) return staleness;
    }
    return 0;
  }

  nlohmann::json state() const { return counts_; }
  /// Throws nlohmann::json::exception if this is no state().
  void restore(const nlohmann::json& state) {
    state.get_to(counts_);
    total_ = sum_ = 0;
    for (const auto& [staleness, count] : counts_) {
      total_ += count;
      sum_ += staleness * count;
    }
  }

  staleness_summary summary() const {
    return {mean(), percentile(50), percentile(99), percentile(100)};
  }

 private:
  std::map<std::uint64_t, std::uint64_t> counts_;
  std::uint64_t total_ = 0;
  std::uint64_t sum_ = 0;
};

}  // namespace rubato
