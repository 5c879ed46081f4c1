#include "generation/sampler.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "config/error.hpp"

using namespace rubato;

namespace {

/// Logits of probabilities 0.5, 0.125, 0.25, 0.125, moved by a constant, which changes nothing.
const std::vector<float> odds{std::log(0.5F) + 7, std::log(0.125F) + 7, std::log(0.25F) + 7,
                              std::log(0.125F) + 7};

/// How often each token comes up when `uniform` goes through [0, 1) evenly.
std::vector<int> frequencies(const std::vector<float>& logits, const sampling& how) {
  constexpr int draws = 16000;
  std::vector<int> counts(logits.size(), 0);
  for (int i = 0; i < draws; ++i) {
    const auto token = sample_token(logits, how, (i + 0.5) / draws);
    counts.at(static_cast<std::size_t>(token)) += 1;
  }
  return counts;
}

}  // namespace

TEST_CASE("each token is drawn with its probability") {
  CHECK(frequencies(odds, {}) == std::vector{8000, 2000, 4000, 2000});
}

TEST_CASE("a temperature of T takes probabilities to the power of 1 / T") {
  // Squares of 4 : 1 : 2 : 1.
  const auto cold = frequencies(odds, {.temperature = 0.5});
  CHECK(cold[0] == doctest::Approx(16000 * 16 / 22.0).epsilon(0.001));
  CHECK(cold[1] == doctest::Approx(16000 * 1 / 22.0).epsilon(0.001));
  CHECK(cold[2] == doctest::Approx(16000 * 4 / 22.0).epsilon(0.001));
  const auto hot = frequencies(odds, {.temperature = 1000.0});
  for (const int count : hot) CHECK(count == doctest::Approx(4000).epsilon(0.01));
  CHECK(frequencies(odds, {.temperature = 1e-300}) == std::vector{16000, 0, 0, 0});
}

TEST_CASE("at a temperature of 0 the most likely token comes, the lower one of equals") {
  for (const double uniform : {0.0, 0.5, 0.999999}) {
    CHECK(sample_token(odds, {.temperature = 0.0}, uniform) == 0);
    CHECK(sample_token(std::vector{1.0F, 3.0F, 3.0F}, {.temperature = 0.0}, uniform) == 1);
  }
}

TEST_CASE("only the k most likely tokens are drawn, in proportion, the lower ones of equals") {
  CHECK(frequencies(odds, {.top_k = 1}) == std::vector{16000, 0, 0, 0});
  const auto two = frequencies(odds, {.top_k = 2});
  CHECK(two[0] == doctest::Approx(16000 * 2 / 3.0).epsilon(0.001));
  CHECK(two[0] + two[2] == 16000);
  CHECK(frequencies(odds, {.top_k = 3})[1] == doctest::Approx(16000 / 7.0).epsilon(0.001));
  CHECK(frequencies(odds, {.top_k = 3})[3] == 0);
  CHECK(frequencies(odds, {.top_k = 4}) == frequencies(odds, {}));
  CHECK(frequencies(odds, {.top_k = 100}) == frequencies(odds, {}));
}

TEST_CASE("the ends of the range of random numbers are ends of the range of tokens") {
  CHECK(sample_token(odds, {}, 0.0) == 0);
  CHECK(sample_token(odds, {}, std::nextafter(1.0, 0.0)) == 3);
  CHECK(sample_token(std::vector{-3.0F}, {}, 0.7) == 0);
}

TEST_CASE("logits of a model that diverged are an error") {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    CHECK_THROWS_AS(sample_token(std::vector{1.0F, bad}, {}, 0.5), run_error);
    CHECK_THROWS_AS(sample_token(std::vector{1.0F, bad}, {.temperature = 0.0}, 0.5), run_error);
  }
  CHECK_THROWS_AS(sample_token({}, {}, 0.5), std::invalid_argument);
}
