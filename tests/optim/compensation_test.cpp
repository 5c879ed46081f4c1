#include "optim/compensation.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "config/random.hpp"

using namespace rubato;

namespace {

using floats = std::vector<float>;
using doubles = std::vector<double>;

floats random_values(std::size_t size, std::uint64_t key) {
  random_generator random(1, random_stream::test, {key});
  floats values(size);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

compensation make(const char* kind, std::size_t size, double lambda = 2.0, double rho = 0.9) {
  config::staleness_section staleness;
  staleness.compensation = kind;
  staleness.compensation_strength = lambda;
  staleness.compensation_decay = rho;
  return compensation(staleness, size);
}

double relative_error(std::span<const float> a, const doubles& b) {
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace

TEST_CASE("constant compensation adds lambda g g (theta - base)") {
  auto constant = make("constant", 1003, 0.3);
  const auto theta = random_values(1003, 1);
  const auto base = random_values(1003, 2);
  const auto g = random_values(1003, 3);
  doubles expected;
  for (std::size_t i = 0; i < g.size(); ++i) {
    const double x = g[i];
    expected.push_back(x + 0.3 * x * x * (static_cast<double>(theta[i]) - base[i]));
  }
  auto compensated = g;
  constant.apply(0, theta, base, compensated);
  CHECK(relative_error(compensated, expected) < 1e-6);
  CHECK(constant.mean_square() == nullptr);
}

TEST_CASE("adaptive compensation divides lambda by the root of a running mean of g g") {
  auto adaptive = make("adaptive", 1003);
  doubles mean_square(1003, 0.0);
  for (std::uint64_t t = 0; t < 20; ++t) {
    const auto theta = random_values(1003, 3 * t);
    const auto base = random_values(1003, 3 * t + 1);
    auto g = random_values(1003, 3 * t + 2);
    doubles expected;
    for (std::size_t i = 0; i < g.size(); ++i) {
      const double x = g[i];
      mean_square[i] = 0.9 * mean_square[i] + 0.1 * x * x;
      const double lambda = 2.0 / std::sqrt(mean_square[i] + 1e-7);
      expected.push_back(x + lambda * x * x * (static_cast<double>(theta[i]) - base[i]));
    }
    adaptive.apply(0, theta, base, g);
    CHECK(relative_error(g, expected) < 1e-6);
    CHECK(relative_error(adaptive.mean_square()->span(), mean_square) < 1e-6);
  }
}

TEST_CASE("an update that is not stale stays as it is, and adaptive compensation learns from it") {
  const auto theta = random_values(100, 1);
  const auto g = random_values(100, 2);
  for (const char* kind : {"constant", "adaptive"}) {
    auto fresh = make(kind, 100);
    auto compensated = g;
    fresh.apply(0, theta, theta, compensated);
    CHECK(compensated == g);
    if (fresh.mean_square() != nullptr) {
      CHECK(fresh.mean_square()->data()[7] == doctest::Approx(0.1 * g[7] * g[7]));
    }
  }
}

TEST_CASE("strength 0 and kind none are the identity, bit for bit") {
  // Values of which neither x + 0 nor 0 x x is harmless.
  const floats odd = {-0.0F, 3e38F, 1e-45F, std::numeric_limits<float>::infinity(), 1.0F};
  const floats theta(5, 1.0F);
  const floats base(5, 2.0F);
  for (auto idle : {make("none", 5), make("constant", 5, 0.0), make("adaptive", 5, 0.0)}) {
    CHECK(!idle.active());
    CHECK(idle.mean_square() == nullptr);
    auto g = odd;
    idle.apply(0, theta, base, g);
    CHECK(same_bits(g, odd));
  }
}

TEST_CASE("compensating in pieces gives the bits of compensating the whole") {
  constexpr std::size_t size = 1037;
  for (const char* kind : {"constant", "adaptive"}) {
    for (const std::size_t cut : {1, 15, 16, 500, 1036}) {
      auto whole = make(kind, size);
      auto in_pieces = make(kind, size);
      for (std::uint64_t t = 0; t < 3; ++t) {
        const auto theta = random_values(size, 3 * t);
        const auto base = random_values(size, 3 * t + 1);
        auto g = random_values(size, 3 * t + 2);
        auto pieces = g;
        whole.apply(0, theta, base, g);
        for (const auto& [first, count] :
             {std::pair(cut, size - cut), std::pair(std::size_t{0}, cut)}) {
          in_pieces.apply(first, std::span(theta).subspan(first, count),
                          std::span(base).subspan(first, count),
                          std::span(pieces).subspan(first, count));
        }
        CHECK(same_bits(pieces, g));
      }
    }
  }
}

TEST_CASE("compensation lets what is not finite through") {
  for (const char* kind : {"constant", "adaptive"}) {
    auto c = make(kind, 2);
    floats g = {std::numeric_limits<float>::quiet_NaN(), 1.0F};
    c.apply(0, floats{1, 1}, floats{0, 0}, g);
    CHECK(std::isnan(g[0]));
    CHECK(std::isfinite(g[1]));
  }
}
