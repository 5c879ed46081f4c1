#include "compare/statistics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

using namespace rubato;
using doctest::Approx;

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST_CASE("a mean and its standard error are those of the textbook") {
  // Deviations -2, 0, 2: variance (4 + 0 + 4) / 2 = 4, standard error 2 / sqrt(3).
  const auto e = estimate_of({3.0, 5.0, 7.0});
  CHECK(e.mean == 5.0);
  CHECK(e.error == Approx(2.0 / std::sqrt(3.0)));
  CHECK(e.count == 3);
}

TEST_CASE("one value has no spread, none has no mean, and an infinite one makes it infinite") {
  CHECK(estimate_of({4.0}).mean == 4.0);
  CHECK(std::isnan(estimate_of({4.0}).error));
  CHECK(std::isnan(estimate_of({}).mean));
  CHECK(estimate_of({1.0, infinity}).mean == infinity);
  CHECK(std::isnan(estimate_of({1.0, infinity}).error));
}

TEST_CASE("a value differs from a mean when it is outside the interval of Student's t") {
  const estimate two{1.0, 0.1, 2};  // 12.706 standard errors to each side
  CHECK_FALSE(two.differs_from(2.27));
  CHECK(two.differs_from(2.28));
  const estimate three{1.0, 0.1, 3};  // 4.303
  CHECK_FALSE(three.differs_from(0.57));
  CHECK(three.differs_from(0.569));
  const estimate many{1.0, 0.1, 1000};  // as 31: 2.042
  CHECK_FALSE(many.differs_from(1.204));
  CHECK(many.differs_from(1.205));
  CHECK_FALSE(estimate_of({4.0}).differs_from(100.0));
  CHECK_FALSE(estimate_of({}).differs_from(100.0));
  CHECK_FALSE(estimate_of({1.0, infinity}).differs_from(0.0));
}

TEST_CASE("pairing takes out what a seed does to both") {
  const auto difference = paired_difference({11.0, 21.0, 32.0}, {10.0, 20.0, 30.0});
  CHECK(difference.mean == Approx(4.0 / 3.0));  // of 1, 1, 2
  CHECK(difference.error == Approx(1.0 / 3.0));
  const auto ratio = paired_ratio({20.0, 60.0}, {10.0, 20.0});
  CHECK(ratio.mean == 2.5);  // of 2 and 3
  CHECK(ratio.error == Approx(0.5));
  CHECK_THROWS_AS(paired_difference({1.0}, {1.0, 2.0}), std::invalid_argument);
}

TEST_CASE("the rank correlation is that of the textbook's ten people") {
  // Intelligence against hours of television a week: 1 - 6 * 194 / (10 * 99).
  const std::vector<double> quotient = {106, 100, 86, 101, 99, 103, 97, 113, 112, 110};
  const std::vector<double> hours = {7, 27, 2, 50, 28, 29, 20, 12, 6, 17};
  CHECK(rank_correlation(quotient, hours) == Approx(-29.0 / 165.0));
  CHECK(rank_correlation(hours, quotient) == Approx(-29.0 / 165.0));
}

TEST_CASE("a rank correlation is of the order alone, and equal values share their rank") {
  CHECK(rank_correlation({1, 2, 3, 4}, {1, 10, 100, infinity}) == Approx(1.0));
  CHECK(rank_correlation({1, 2, 3, 4}, {5, 4, 2, -infinity}) == Approx(-1.0));
  // Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
  CHECK(rank_correlation({1, 2, 2, 3}, {1, 2, 3, 4}) == Approx(std::sqrt(0.9)));
  CHECK(rank_correlation({infinity, infinity, 1}, {2, 3, 1}) == Approx(std::sqrt(0.75)));
  CHECK(std::isnan(rank_correlation({1, 2, 3}, {7, 7, 7})));
  CHECK(std::isnan(rank_correlation({}, {})));
  CHECK_THROWS_AS(rank_correlation({1.0}, {1.0, 2.0}), std::invalid_argument);
}

TEST_CASE("the first crossing of a level lies on the line between two evaluations") {
  const std::vector<point> curve = {{0.0, 5.0}, {10.0, 3.0}, {20.0, 4.0}, {30.0, 1.0}};
  CHECK(*first_crossing(curve, 4.0) == 5.0);
  CHECK(*first_crossing(curve, 3.0) == 10.0);  // the first time, though it rises again
  CHECK(*first_crossing(curve, 2.0) == Approx(30.0 - 10.0 / 3.0));
  CHECK(*first_crossing(curve, 6.0) == 0.0);
  CHECK_FALSE(first_crossing(curve, 0.5).has_value());
  CHECK_FALSE(first_crossing({}, 0.5).has_value());
}

TEST_CASE("a loss that is no number is above any level") {
  CHECK(*first_crossing({{0.0, infinity}, {10.0, 3.0}}, 4.0) == 10.0);
  CHECK_FALSE(first_crossing({{0.0, std::nan("")}, {10.0, infinity}}, 4.0).has_value());
}

TEST_CASE("the mean of the last values is of all where there are fewer") {
  CHECK(mean_of_last({9.0, 1.0, 2.0, 6.0}, 3) == 3.0);
  CHECK(mean_of_last({1.0, 2.0}, 3) == 1.5);
  CHECK(mean_of_last({1.0, infinity, 2.0}, 2) == infinity);
  CHECK(mean_of_last({infinity, 1.0, 2.0}, 2) == 1.5);
  CHECK(std::isnan(mean_of_last({}, 3)));
}
