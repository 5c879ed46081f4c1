#include "transfer/error_feedback.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "config/random.hpp"

using namespace rubato;

namespace {

using floats = std::vector<float>;

floats update(std::size_t count, std::uint64_t round) {
  random_generator random(1, random_stream::test, {round});
  floats x(count);
  for (float& value : x) value = static_cast<float>(0.01 * random.normal());
  return x;
}

/// What the receiver makes of it.
floats send(error_feedback& feedback, codec c, const floats& x) {
  std::vector<std::byte> bytes(encoded_size(c, x.size()));
  feedback.encode(x, bytes);
  floats y(x.size());
  decode(c, bytes, y);
  return y;
}

}  // namespace

TEST_CASE("what a codec takes from an update comes along with the next ones") {
  constexpr std::size_t count = 5000;  // more than one piece, and no whole number of blocks
  for (const codec c : {codec::bf16, codec::int8, codec::int4}) {
    const double steps = c == codec::int4 ? 7 : 127;
    error_feedback feedback(c, count);
    std::vector<double> sent(count);
    std::vector<double> arrived(count);
    double largest = 0.0;
    for (std::uint64_t round = 0; round < 100; ++round) {
      const floats x = update(count, round);
      const floats y = send(feedback, c, x);
      double worst = 0.0;
      for (std::size_t i = 0; i < count; ++i) {
        sent[i] += x[i];
        arrived[i] += y[i];
        largest = std::max(largest, std::fabs(static_cast<double>(x[i])));
        worst = std::max(worst, std::fabs(sent[i] - arrived[i]));
        // The difference of the sums is the residual, but for the rounding of floats.
        REQUIRE(std::fabs(sent[i] - arrived[i] - feedback.residual()[i]) < 1e-6);
      }
      // |r'| <= (|x| + |r|) / (2 steps), so |r| <= |x| / (2 steps - 1) for ever.
      REQUIRE(worst <= 1.001 * largest / (2 * steps - 1));
    }
    // Without feedback, errors would have added up to more than that.
    double plain_worst = 0.0;
    std::vector<double> plain(count);
    for (std::uint64_t round = 0; round < 100; ++round) {
      error_feedback none(c, count);
      const floats x = update(count, round);
      const floats y = send(none, c, x);
      for (std::size_t i = 0; i < count; ++i) plain[i] += static_cast<double>(x[i]) - y[i];
    }
    for (const double p : plain) plain_worst = std::max(plain_worst, std::fabs(p));
    CHECK(plain_worst > largest / (2 * steps - 1));
  }
}

TEST_CASE("the first update is coded as without feedback") {
  const floats x = update(3000, 0);
  for (const codec c : {codec::bf16, codec::int8, codec::int4}) {
    error_feedback feedback(c, x.size());
    std::vector<std::byte> with(encoded_size(c, x.size()));
    std::vector<std::byte> without(with.size());
    feedback.encode(x, with);
    encode(c, x, without);
    CHECK(with == without);
  }
}

TEST_CASE("f32 needs no residual, and keeps the sign of zero") {
  error_feedback feedback(codec::f32, 2);
  CHECK(feedback.residual().empty());
  for (int round = 0; round < 2; ++round) {
    const floats y = send(feedback, codec::f32, {-0.0F, 1e-42F});
    CHECK(std::signbit(y[0]));
    CHECK(y[1] == 1e-42F);
  }
}

TEST_CASE("nothing is kept of values that are not finite") {
  for (const codec c : {codec::bf16, codec::int8, codec::int4}) {
    error_feedback feedback(c, 300);
    floats x = update(300, 0);
    x[150] = std::numeric_limits<float>::quiet_NaN();
    x[151] = std::numeric_limits<float>::infinity();
    CHECK(std::isnan(send(feedback, c, x)[150]));
    for (const float r : feedback.residual()) CHECK(std::isfinite(r));
    for (const float y : send(feedback, c, update(300, 1))) CHECK(std::isfinite(y));
  }
}

TEST_CASE("feedback that was saved and restored goes on bit for bit") {
  error_feedback one(codec::int4, 1000);
  send(one, codec::int4, update(1000, 0));
  error_feedback other(codec::int4, 1000);
  other.restore(one.residual());
  CHECK(send(one, codec::int4, update(1000, 1)) == send(other, codec::int4, update(1000, 1)));

  one.reset();
  error_feedback fresh(codec::int4, 1000);
  CHECK(send(one, codec::int4, update(1000, 2)) == send(fresh, codec::int4, update(1000, 2)));
  CHECK_THROWS_AS(one.restore(floats(999)), std::invalid_argument);
}

TEST_CASE("values or bytes of another number are refused") {
  error_feedback feedback(codec::int8, 10);
  std::vector<std::byte> bytes(encoded_size(codec::int8, 10));
  CHECK_THROWS_AS(feedback.encode(floats(9), bytes), std::invalid_argument);
  bytes.pop_back();
  CHECK_THROWS_AS(feedback.encode(floats(10), bytes), std::invalid_argument);
}
