#include "data/normal.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

namespace rubato {
namespace {

/// ln x of a normal x > 0 to 13 digits. Additions, multiplications and divisions alone: IEEE 754
/// rounds them in one way only.
double natural_log(double x) {
  // x = 2^exponent * m with sqrt(1/2) <= m < sqrt(2), and ln m = 2 artanh((m - 1) / (m + 1)).
  constexpr auto root_half = std::bit_cast<std::int64_t>(std::numbers::sqrt2 / 2);
  constexpr int mantissa_bits = 52;
  const auto bits = std::bit_cast<std::int64_t>(x);
  const auto exponent = (bits - root_half) >> mantissa_bits;
  const auto m = std::bit_cast<double>(bits - (exponent << mantissa_bits));
  const double s = (m - 1) / (m + 1);
  const double z = s * s;
  double series = 1.0 / 15;
  for (const double divisor : {13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0}) {
    series = series * z + 1.0 / divisor;
  }
  return static_cast<double>(exponent) * std::numbers::ln2 + 2 * s * series;
}

/// One of 2^32 numbers evenly spread over (-1, 1); never 0.
double coordinate(std::uint64_t word) {
  return static_cast<double>(static_cast<std::int32_t>(word)) * 0x1.0p-31 + 0x1.0p-32;
}

}  // namespace

// Marsaglia's polar method: a random point of the unit disc, at distance r from its middle, gives
// two numbers when it is scaled by sqrt(-2 ln r^2) / r.
void fill_normal(random_generator& random, std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); i += 2) {
    double x;
    double y;
    double squared;
    do {
      const auto word = random();
      x = coordinate(word);
      y = coordinate(word >> 32);
      squared = x * x + y * y;
    } while (squared >= 1);
    const double scale = std::sqrt(-2 * natural_log(squared) / squared);
    values[i] = static_cast<float>(x * scale);
    if (i + 1 < values.size()) values[i + 1] = static_cast<float>(y * scale);
  }
}

}  // namespace rubato
