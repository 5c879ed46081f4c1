// Recognises updates that are far longer than usual: a worker whose training went wrong, or whose
// memory did. It only looks at norms; what is not finite is refused whatever this says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace rubato {

/// Keeps the lengths of the last updates, as logarithms of norm / sqrt(steps): norms grow about so
/// with the local steps behind them, and DyLU's quotas differ. Usual is the median; the spread is
/// 1.4826 times the median absolute deviation, which for normally distributed values is their
/// standard deviation. Neither moves by more than a rank with one outlier, so outliers are kept
/// too: lengths that are unusual only because training has moved on become usual by themselves.
class norm_guard {
 public:
  /// `limit`: how many spreads above the median an update may be; 0: everything passes.
  explicit norm_guard(double limit);

  /// Whether an update of this norm, after so many steps, is within the limit; the first few
  /// always are. Remembers it either way. O(memory).
  bool admits(double norm, std::uint32_t steps);

  // What it remembers, oldest first, to go on from elsewhere.
  const std::deque<double>& remembered() const { return recent_; }
  void restore(std::deque<double> remembered) { recent_ = std::move(remembered); }

  static constexpr std::size_t memory = 64;       // updates
  static constexpr std::size_t needed = 8;        // before anything is refused
  static constexpr double smallest_spread = 0.1;  // of logarithms: lengths may differ by a tenth

 private:
  double limit_;
  std::deque<double> recent_;
};

}  // namespace rubato
