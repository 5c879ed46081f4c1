// config/random.hpp against published SplitMix64 numbers, an independent implementation of the
// keying, and the distributions that it promises. Seeds are fixed: no test depends on luck.
#include "config/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <set>
#include <type_traits>
#include <vector>

using rubato::random_generator;
using rubato::random_stream;

static_assert(std::uniform_random_bit_generator<random_generator>);
static_assert(std::is_same_v<random_generator::result_type, std::uint64_t>);

namespace {

constexpr std::uint64_t golden = 0x9e3779b97f4a7c15ULL;

/// The inverse of an odd number modulo 2^64, by Newton's iteration.
std::uint64_t inverse(std::uint64_t odd) {
  std::uint64_t x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
  return x;
}

/// The inverse of z ^ (z >> shift).
std::uint64_t unshift(std::uint64_t z, int shift) {
  std::uint64_t x = z;
  for (int done = shift; done < 64; done += shift) x = z ^ (x >> shift);
  return x;
}

/// The inverse of SplitMix64's finaliser.
std::uint64_t unmix(std::uint64_t z) {
  z = unshift(z, 31) * inverse(0x94d049bb133111ebULL);
  z = unshift(z, 27) * inverse(0xbf58476d1ce4e5b9ULL);
  return unshift(z, 30);
}

/// The seed whose `test` stream, without keys, is SplitMix64 started at `state`.
std::uint64_t seed_for(std::uint64_t state) {
  const auto stream = static_cast<std::uint64_t>(random_stream::test);
  return unmix(unmix(state) - stream * golden) - golden;
}

random_generator test_stream() {
  return {7, random_stream::test};
}

}  // namespace

TEST_CASE("a stream is SplitMix64, with the published numbers for state 1234567") {
  random_generator random(seed_for(1234567), random_stream::test);
  CHECK(random() == 6457827717110365317ULL);
  CHECK(random() == 3203168211198807973ULL);
  CHECK(random() == 9817491932198370423ULL);
  CHECK(random() == 4593380528125082431ULL);
  CHECK(random() == 16408922859458223821ULL);
}

TEST_CASE("the numbers of a keyed stream never change, for results depend on them") {
  random_generator keyed(1, random_stream::test, {2, 3});
  CHECK(keyed() == 0x2666d835155bd38eULL);
  CHECK(keyed() == 0xddedc4ad423ffc98ULL);
  CHECK(keyed() == 0x39c5f0bbaf490211ULL);
  CHECK(random_generator(0, random_stream::initial_parameters)() == 0x238275bc38fcbe91ULL);
}

TEST_CASE("seed, stream, each key, their number and their order all make a different stream") {
  const std::vector<std::uint64_t> first = {
      random_generator(1, random_stream::test)(),
      random_generator(2, random_stream::test)(),
      random_generator(1, random_stream::jitter)(),
      random_generator(1, random_stream::test, {0})(),
      random_generator(1, random_stream::test, {0, 0})(),
      random_generator(1, random_stream::test, {1})(),
      random_generator(1, random_stream::test, {1, 2})(),
      random_generator(1, random_stream::test, {2, 1})(),
  };
  CHECK(std::set<std::uint64_t>(first.begin(), first.end()).size() == first.size());
}

TEST_CASE("neighbouring keys give streams that are as different as any two") {
  // Two independent 64-bit numbers differ in 32 bits, give or take 4.
  double differing = 0.0;
  constexpr int pairs = 1000;
  for (std::uint64_t i = 0; i < pairs; ++i) {
    auto bits = random_generator(1, random_stream::test, {i})() ^
                random_generator(1, random_stream::test, {i + 1})();
    for (; bits != 0; bits &= bits - 1) differing += 1.0;
  }
  CHECK(differing / pairs == doctest::Approx(32.0).epsilon(0.02));
}

TEST_CASE("a copy goes on with the same numbers") {
  auto random = test_stream();
  random();
  auto copy = random;
  for (int i = 0; i < 10; ++i) CHECK(random() == copy());
}

TEST_CASE("uniform numbers lie in [0, 1) and have mean 1/2 and variance 1/12") {
  auto random = test_stream();
  constexpr int n = 100000;
  double sum = 0.0, squares = 0.0, least = 1.0, greatest = 0.0;
  for (int i = 0; i < n; ++i) {
    const double x = random.uniform();
    sum += x;
    squares += (x - 0.5) * (x - 0.5);
    least = std::min(least, x);
    greatest = std::max(greatest, x);
  }
  CHECK(least >= 0.0);
  CHECK(least < 1e-3);
  CHECK(greatest < 1.0);
  CHECK(greatest > 1.0 - 1e-3);
  CHECK(sum / n == doctest::Approx(0.5).epsilon(0.005));
  CHECK(squares / n == doctest::Approx(1.0 / 12.0).epsilon(0.01));
}

TEST_CASE("a uniform number is the top 53 bits of the raw one") {
  auto random = test_stream();
  auto raw = random;
  for (int i = 0; i < 100; ++i) {
    CHECK(random.uniform() == std::ldexp(static_cast<double>(raw() >> 11), -53));
  }
}

TEST_CASE("below(n) takes every value under n equally often") {
  auto random = test_stream();
  constexpr int n = 60000;
  std::vector<int> counts(6);
  for (int i = 0; i < n; ++i) counts.at(random.below(counts.size())) += 1;
  double chi_squared = 0.0;
  for (const int count : counts) chi_squared += std::pow(count - n / 6.0, 2) / (n / 6.0);
  CHECK(chi_squared < 20.5);  // five degrees of freedom: exceeded once in a thousand
  CHECK(random.below(1) == 0);
}

TEST_CASE("below(n) has no modulo bias where the bias would be greatest") {
  // With n = 3 * 2^62, a plain product of the raw number gives multiples of three half the time.
  auto random = test_stream();
  constexpr std::uint64_t n = 3ULL << 62;
  constexpr int draws = 30000;
  int multiples = 0;
  for (int i = 0; i < draws; ++i) {
    const auto x = random.below(n);
    REQUIRE(x < n);
    multiples += x % 3 == 0 ? 1 : 0;
  }
  CHECK(multiples / static_cast<double>(draws) == doctest::Approx(1.0 / 3.0).epsilon(0.03));
}

TEST_CASE("normal numbers have the moments and tails of the standard normal distribution") {
  auto random = test_stream();
  constexpr int n = 100000;
  double sum = 0.0, squares = 0.0, cubes = 0.0, fourths = 0.0;
  int beyond_two = 0;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal();
    REQUIRE(std::isfinite(x));
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    fourths += x * x * x * x;
    beyond_two += std::abs(x) > 2.0 ? 1 : 0;
  }
  CHECK(std::abs(sum / n) < 0.01);
  CHECK(squares / n == doctest::Approx(1.0).epsilon(0.015));
  CHECK(std::abs(cubes / n) < 0.04);
  CHECK(fourths / n == doctest::Approx(3.0).epsilon(0.03));
  CHECK(beyond_two / static_cast<double>(n) == doctest::Approx(0.0455).epsilon(0.05));
}
