// The arithmetic of a comparison, on plain numbers: means with their spread, differences and ratios
// over paired seeds, rank correlation, and where a curve first gets down to a loss. Not here: which
// numbers are compared (findings.hpp).
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace rubato {

/// A mean over seeds and its standard error.
struct estimate {
  double mean = 0.0;   // NaN of no values; infinite if one is
  double error = 0.0;  // s / sqrt(n), s with n - 1; NaN of fewer than two finite values
  std::size_t count = 0;

  /// `value` is outside the 95 % confidence interval of the mean (Student's t: with two seeds that
  /// is 12.7 standard errors wide on each side, with ten 2.3). Never true without a spread.
  bool differs_from(double value) const;
};

estimate estimate_of(const std::vector<double>& values);

/// The mean of a[i] - b[i] and of a[i] / b[i]. Throws std::invalid_argument for lists of different
/// length. Pairing takes out what a seed does to both.
estimate paired_difference(const std::vector<double>& a, const std::vector<double>& b);
estimate paired_ratio(const std::vector<double>& a, const std::vector<double>& b);

/// Spearman's rank correlation of the pairs (x[i], y[i]), -1 to 1: Pearson's of their ranks, where
/// equal values share the mean of theirs. NaN if all x or all y are equal. Infinite values are
/// ranked like others, NaN is not allowed. Throws std::invalid_argument for lists of different
/// length.
double rank_correlation(const std::vector<double>& x, const std::vector<double>& y);

struct point {
  double x = 0.0;
  double y = 0.0;
};

/// The x at which the curve first comes down to `level`, linear between its points, which are in
/// order of x; none if it never does. Points whose y is not finite are above any level.
std::optional<double> first_crossing(const std::vector<point>& curve, double level);

/// The mean of the last `count` values, or of all if they are fewer; NaN of none, infinite if one
/// of them is not finite.
double mean_of_last(const std::vector<double>& values, std::size_t count);

}  // namespace rubato
