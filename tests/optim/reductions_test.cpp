#include "optim/reductions.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "config/random.hpp"
#include "optim/parameter_buffer.hpp"

using namespace rubato;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// None, one, around the 16 accumulators, and around the blocks of 4096.
constexpr std::size_t sizes[] = {0, 1, 15, 16, 17, 4095, 4096, 4097, 10007};

std::vector<float> random_values(std::size_t size, std::uint64_t key) {
  random_generator random(1, random_stream::test, {key});
  std::vector<float> values(size);
  // Magnitudes from 1e-6 to 1e6, so that the order of additions shows in the last bits.
  for (float& value : values) {
    value = static_cast<float>(random.normal() * std::pow(10.0, 12.0 * random.uniform() - 6.0));
  }
  return values;
}

/// `values` at `offset` floats behind a 64-byte boundary.
class shifted {
 public:
  shifted(const std::vector<float>& values, std::size_t offset)
      : buffer_(values.size() + offset), offset_(offset) {
    std::copy(values.begin(), values.end(), buffer_.data() + offset);
  }
  std::span<const float> span() const { return buffer_.span().subspan(offset_); }

 private:
  parameter_buffer buffer_;
  std::size_t offset_;
};

}  // namespace

TEST_CASE("sums agree with sums in long double") {
  for (const std::size_t size : sizes) {
    const auto x = random_values(size, 1);
    const auto y = random_values(size, 2);
    long double squares = 0;
    long double products = 0;
    long double magnitudes = 0;
    for (std::size_t i = 0; i < size; ++i) {
      squares += static_cast<long double>(x[i]) * x[i];
      products += static_cast<long double>(x[i]) * y[i];
      magnitudes += std::abs(static_cast<long double>(x[i]) * y[i]);
    }
    CHECK(std::abs(sum_of_squares(x) - squares) <= 1e-13L * squares);
    CHECK(std::abs(dot(x, y) - products) <= 1e-13L * magnitudes);
  }
}

TEST_CASE("the order of the additions is part of the result") {
  std::vector<float> x;
  std::vector<float> y;
  for (int i = 0; i < 10007; ++i) {
    x.push_back(static_cast<float>(1.0 / (i + 1)));
    y.push_back(static_cast<float>((i % 3 == 0 ? -1.0 : 1.0) / (i + 2)));
  }
  // From a script: blocks of 4096, element j of a block to accumulator j % 16, then left to right.
  // Any other order that was tried (plain, no blocks, 8 accumulators) ends with other bits.
  CHECK(dot(x, y) == -0x1.ac8248b04028bp-3);
  CHECK(sum_of_squares(x) == 0x1.a513d9ef9bdccp+0);
}

TEST_CASE("sums have the same bits on any number of threads, and when values are read") {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{4097}, std::size_t{50001}}) {
    const auto x = random_values(size, 4);
    const auto y = random_values(size, 5);
    const value_reader read = [&](std::size_t first, std::span<float> out) {
      CHECK(first % reduction_block == 0);
      std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(first), out.size(), out.begin());
    };
    for (const std::size_t threads : {1, 2, 5}) {
      CHECK(dot(x, y, threads) == dot(x, y));
      CHECK(dot(read, y, threads) == dot(x, y));
      CHECK(sum_of_squares(x, threads) == sum_of_squares(x));
      const auto facts = facts_of(read, size, threads);
      CHECK(facts.sum_of_squares == sum_of_squares(x));
      CHECK(facts.finite);
    }
  }
}

TEST_CASE("a value that is not finite is found when values are read") {
  std::vector<float> x(10007, 1.0F);
  const value_reader read = [&](std::size_t first, std::span<float> out) {
    std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(first), out.size(), out.begin());
  };
  for (const std::size_t where : {std::size_t{0}, std::size_t{4096}, x.size() - 1}) {
    x[where] = infinity;
    CHECK_FALSE(facts_of(read, x.size(), 2).finite);
    x[where] = 1.0F;
  }
  CHECK(facts_of(read, x.size(), 2).finite);
}

TEST_CASE("sums have the same bits at every alignment") {
  for (const std::size_t size : sizes) {
    const auto x = random_values(size, 3);
    const auto y = random_values(size, 4);
    const double squares = sum_of_squares(x);
    const double products = dot(x, y);
    for (std::size_t offset = 0; offset < 16; ++offset) {
      const shifted x_there(x, offset);
      const shifted y_there(y, (offset * 7 + 3) % 16);
      CHECK(sum_of_squares(x_there.span()) == squares);
      CHECK(dot(x_there.span(), y_there.span()) == products);
    }
  }
}

TEST_CASE("a sum of large floats does not overflow, and one of NaN is NaN") {
  const float large = std::numeric_limits<float>::max();
  CHECK(sum_of_squares(std::vector<float>{large, large}) ==
        2.0 * large * static_cast<double>(large));
  CHECK(std::isnan(sum_of_squares(std::vector<float>{1.0F, not_a_number})));
  CHECK(std::isinf(sum_of_squares(std::vector<float>{1.0F, -infinity})));
}

TEST_CASE("a value that is not finite is found wherever it is") {
  for (const std::size_t size : sizes) {
    std::vector<float> x(size, std::numeric_limits<float>::max());
    CHECK(all_finite(x));
    for (const float bad : {infinity, -infinity, not_a_number, -not_a_number}) {
      for (const std::size_t place : {std::size_t{0}, size / 2, size - 1}) {
        if (place >= size) continue;
        const float good = x[place];
        x[place] = bad;
        CHECK_FALSE(all_finite(x));
        x[place] = good;
      }
    }
  }
  CHECK(all_finite(std::vector<float>{0.0F, -0.0F, std::numeric_limits<float>::denorm_min()}));
}

TEST_CASE("a weighted mean is the sum of weighted inputs over the sum of weights") {
  for (const std::size_t size : sizes) {
    const auto a = random_values(size, 5);
    const auto b = random_values(size, 6);
    const auto c = random_values(size, 7);
    const std::vector<std::span<const float>> inputs = {a, b, c};
    const std::vector<double> weights = {1.0, 0.25, 3.0};
    std::vector<float> mean(size, not_a_number);
    weighted_mean(inputs, weights, mean);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const long double exact = (1.0L * a[i] + 0.25L * b[i] + 3.0L * c[i]) / 4.25L;
      // Half a unit in the last place of f32, and what cancels in double.
      const long double scale = std::abs(1.0L * a[i]) + std::abs(b[i]) + std::abs(c[i]);
      if (std::abs(mean[i] - exact) > 0x1p-24L * std::abs(exact) + 1e-15L * scale) ++wrong;
    }
    CHECK(wrong == 0);

    std::vector<float> shifted_mean(size + 5);
    const shifted a_there(a, 3);
    const std::vector<std::span<const float>> moved = {a_there.span(), b, c};
    weighted_mean(moved, weights, std::span(shifted_mean).subspan(5));
    CHECK(std::equal(mean.begin(), mean.end(), shifted_mean.begin() + 5));
  }
}

TEST_CASE("the mean of one input is that input, whatever its weight") {
  const auto x = random_values(1000, 8);
  const std::vector<std::span<const float>> inputs = {x};
  std::vector<float> mean(x.size());
  weighted_mean(inputs, std::vector<double>{0.3}, mean);
  CHECK(mean == x);
}

TEST_CASE("reductions refuse sizes and weights that make no sense") {
  const std::vector<float> three(3);
  const std::vector<float> two(2);
  std::vector<float> out(3);
  CHECK_THROWS_AS(dot(three, two), std::invalid_argument);

  const std::vector<std::span<const float>> none;
  const std::vector<std::span<const float>> both = {three, three};
  const std::vector<std::span<const float>> uneven = {three, two};
  CHECK_THROWS_AS(weighted_mean(none, std::vector<double>{}, out), std::invalid_argument);
  CHECK_THROWS_AS(weighted_mean(both, std::vector<double>{1.0}, out), std::invalid_argument);
  CHECK_THROWS_AS(weighted_mean(uneven, std::vector<double>{1.0, 1.0}, out), std::invalid_argument);
  for (const double bad : {-1.0, -2.0, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
    CHECK_THROWS_AS(weighted_mean(both, std::vector<double>{1.0, bad}, out), std::invalid_argument);
  }
}
