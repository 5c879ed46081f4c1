#include "compare/statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace rubato {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The 97.5 % quantile of Student's t for 1, 2, ... degrees of freedom.
constexpr std::array<double, 30> student_t = {
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};

template <class Operation>
estimate paired(const std::vector<double>& a, const std::vector<double>& b, Operation operation) {
  if (a.size() != b.size()) throw std::invalid_argument("paired values must be as many");
  std::vector<double> values(a.size());
  std::transform(a.begin(), a.end(), b.begin(), values.begin(), operation);
  return estimate_of(values);
}

/// From 1; equal values have the mean of the ranks that they take up.
std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> ranks;
  for (const double value : values) {
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), value);
    ranks.push_back(0.5 *
                    static_cast<double>((first - sorted.begin()) + (last - sorted.begin()) + 1));
  }
  return ranks;
}

}  // namespace

bool estimate::differs_from(double value) const {
  if (count < 2) return false;
  const auto quantile = student_t[std::min(count - 2, student_t.size() - 1)];
  return std::abs(mean - value) > quantile * error;
}

estimate estimate_of(const std::vector<double>& values) {
  estimate result{not_a_number, not_a_number, values.size()};
  if (values.empty()) return result;
  const auto n = static_cast<double>(values.size());
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2 || !std::isfinite(result.mean)) return result;
  double squares = 0.0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.error = std::sqrt(squares / (n - 1.0) / n);
  return result;
}

estimate paired_difference(const std::vector<double>& a, const std::vector<double>& b) {
  return paired(a, b, std::minus<>());
}

estimate paired_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  return paired(a, b, std::divides<>());
}

double rank_correlation(const std::vector<double>& x, const std::vector<double>& y) {
  if (x.size() != y.size()) throw std::invalid_argument("paired values must be as many");
  const auto a = ranks_of(x), b = ranks_of(y);
  const double middle = 0.5 * (static_cast<double>(x.size()) + 1.0);
  double products = 0.0, squares_a = 0.0, squares_b = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    products += (a[i] - middle) * (b[i] - middle);
    squares_a += (a[i] - middle) * (a[i] - middle);
    squares_b += (b[i] - middle) * (b[i] - middle);
  }
  return products / std::sqrt(squares_a * squares_b);  // 0 / 0 if all are equal
}

std::optional<double> first_crossing(const std::vector<point>& curve, double level) {
  for (std::size_t i = 0; i < curve.size(); ++i) {
    const auto& here = curve[i];
    if (!std::isfinite(here.y) || here.y > level) continue;
    if (i == 0 || !std::isfinite(curve[i - 1].y)) return here.x;
    const auto& before = curve[i - 1];  // above the level, or it would have been the first
    return before.x + (here.x - before.x) * (before.y - level) / (before.y - here.y);
  }
  return std::nullopt;
}

double mean_of_last(const std::vector<double>& values, std::size_t count) {
  const std::size_t used = std::min(count, values.size());
  if (used == 0) return not_a_number;
  double sum = 0.0;
  for (auto value = values.end() - static_cast<std::ptrdiff_t>(used); value != values.end();
       ++value) {
    if (!std::isfinite(*value)) return infinity;
    sum += *value;
  }
  return sum / static_cast<double>(used);
}

}  // namespace rubato
