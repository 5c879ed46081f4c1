#include "data/normal.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

using doctest::Approx;
using rubato::fill_normal;
using rubato::random_generator;
using rubato::random_stream;

namespace {

std::vector<float> sample(std::size_t size, std::uint64_t key = 0) {
  std::vector<float> values(size, 99.0F);
  random_generator random(1, random_stream::test, {key});
  fill_normal(random, values);
  return values;
}

/// Of the standard normal distribution.
double cumulative(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

}  // namespace

TEST_CASE("bulk noise has the normal distribution") {
  auto values = sample(300001);  // an odd number
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double farthest = 0;  // Kolmogorov and Smirnov's distance
  double mean = 0;
  double squares = 0;
  double cubes = 0;
  double fourths = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = values[i];
    const double expected = cumulative(x);
    farthest = std::max({farthest, expected - static_cast<double>(i) / n,
                         static_cast<double>(i + 1) / n - expected});
    mean += x / n;
    squares += x * x / n;
    cubes += x * x * x / n;
    fourths += x * x * x * x / n;
  }
  CHECK(farthest < 1.63 / std::sqrt(n));  // one in a hundred samples is worse
  // Four standard deviations each.
  CHECK(std::abs(mean) < 4 * std::sqrt(1 / n));
  CHECK(std::abs(squares - 1) < 4 * std::sqrt(2 / n));
  CHECK(std::abs(cubes) < 4 * std::sqrt(15 / n));
  CHECK(std::abs(fourths - 3) < 4 * std::sqrt(96 / n));
  // The tails, which neither of these sees: 19 beyond 4 are expected.
  const auto beyond =
      std::count_if(values.begin(), values.end(), [](float x) { return std::abs(x) > 4; });
  CHECK(std::abs(static_cast<double>(beyond) - n * 2 * cumulative(-4)) < 4 * 4.4);
}

TEST_CASE("neighbours in bulk noise are independent") {
  const auto values = sample(1000000);
  const double n = static_cast<double>(values.size()) / 2;
  for (const std::size_t offset : {0, 1}) {  // of one pair, and of two
    double products = 0;
    double products_of_squares = 0;
    for (std::size_t i = offset; i + 1 < values.size(); i += 2) {
      const double x = values[i];
      const double y = values[i + 1];
      products += x * y / n;
      products_of_squares += (x * x - 1) * (y * y - 1) / n;
    }
    CHECK(std::abs(products) < 4 * std::sqrt(1 / n));
    CHECK(std::abs(products_of_squares) < 4 * 2 * std::sqrt(1 / n));
  }
}

TEST_CASE("bulk noise is the polar method's, with a logarithm that is right to a float") {
  const auto values = sample(20000);
  random_generator random(1, random_stream::test, {0});
  const auto coordinate = [](std::uint64_t word) {
    return (static_cast<double>(static_cast<std::int32_t>(word)) + 0.5) / 0x1.0p31;
  };
  for (std::size_t i = 0; i < values.size(); i += 2) {
    double x = 1;
    double y = 1;
    while (std::hypot(x, y) >= 1) {
      const auto word = random();
      x = coordinate(word);
      y = coordinate(word >> 32);
    }
    const double r = std::hypot(x, y);
    const double scale = std::sqrt(-4 * std::log(r)) / r;
    REQUIRE(values[i] == Approx(x * scale).epsilon(1e-7));
    REQUIRE(values[i + 1] == Approx(y * scale).epsilon(1e-7));
  }
}

TEST_CASE("all of a span is filled, whatever its length") {
  const auto six = sample(6);
  for (const std::size_t size : {0, 1, 2, 5}) {
    CHECK(sample(size) == std::vector<float>(six.begin(), six.begin() + size));
  }
  CHECK(sample(6, 1) != six);
}

TEST_CASE("bulk noise has the same bits everywhere and for ever") {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const float x : sample(10000)) {
    hash = (hash ^ std::bit_cast<std::uint32_t>(x)) * 0x100000001b3ULL;
  }
  // A constant: another value means that no earlier result can be repeated.
  CHECK(hash == 17100727122524294522ULL);
}
