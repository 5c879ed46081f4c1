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
floats send(floats& residual, codec c, const floats& x) {
  std::vector<std::byte> bytes(encoded_size(c, x.size()));
  floats kept(x.size());
  encode_with_feedback(c, x, residual, kept, bytes);
  residual = kept;
  floats y(x.size());
  decode(c, bytes, y);
  return y;
}

}  // namespace

TEST_CASE("what a codec takes from an update comes along with the next ones") {
  constexpr std::size_t count = 5000;  // more than one piece, and no whole number of blocks
  for (const codec c : {codec::bf16, codec::int8, codec::int4}) {
    const double steps = c == codec::int4 ? 7 : 127;
    floats residual;
    std::vector<double> sent(count);
    std::vector<double> arrived(count);
    double largest = 0.0;
    for (std::uint64_t round = 0; round < 100; ++round) {
      const floats x = update(count, round);
      const floats y = send(residual, c, x);
      double worst = 0.0;
      for (std::size_t i = 0; i < count; ++i) {
        sent[i] += x[i];
        arrived[i] += y[i];
        largest = std::max(largest, std::fabs(static_cast<double>(x[i])));
        worst = std::max(worst, std::fabs(sent[i] - arrived[i]));
        // The difference of the sums is the residual, but for the rounding of floats.
        REQUIRE(std::fabs(sent[i] - arrived[i] - residual[i]) < 1e-6);
      }
      // |r'| <= (|x| + |r|) / (2 steps), so |r| <= |x| / (2 steps - 1) for ever.
      REQUIRE(worst <= 1.001 * largest / (2 * steps - 1));
    }
    // Without feedback, errors would have added up to more than that.
    double plain_worst = 0.0;
    std::vector<double> plain(count);
    for (std::uint64_t round = 0; round < 100; ++round) {
      floats none;
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
  for (const codec c : {codec::f32, codec::bf16, codec::int8, codec::int4}) {
    std::vector<std::byte> with(encoded_size(c, x.size()));
    std::vector<std::byte> without(with.size());
    floats kept(x.size());
    encode_with_feedback(c, x, {}, kept, with);
    encode(c, x, without);
    CHECK(with == without);
  }
}

TEST_CASE("nothing is kept of values that are not finite") {
  for (const codec c : {codec::bf16, codec::int8, codec::int4}) {
    floats residual;
    floats x = update(300, 0);
    x[150] = std::numeric_limits<float>::quiet_NaN();
    x[151] = std::numeric_limits<float>::infinity();
    CHECK(std::isnan(send(residual, c, x)[150]));
    for (const float r : residual) CHECK(std::isfinite(r));
    for (const float y : send(residual, c, update(300, 1))) CHECK(std::isfinite(y));
  }
}

TEST_CASE("what is kept may take the place of what was kept before") {
  const floats x = update(5000, 1);
  floats residual = update(5000, 2);
  floats kept(x.size());
  std::vector<std::byte> apart(encoded_size(codec::int4, x.size()));
  std::vector<std::byte> in_place(apart.size());
  encode_with_feedback(codec::int4, x, residual, kept, apart);
  encode_with_feedback(codec::int4, x, residual, residual, in_place);
  CHECK(apart == in_place);
  CHECK(kept == residual);
}

TEST_CASE("values or bytes of another number are refused") {
  std::vector<std::byte> bytes(encoded_size(codec::int8, 10));
  floats kept(10);
  const auto encode = [&](std::size_t values, std::size_t residual) {
    encode_with_feedback(codec::int8, floats(values), floats(residual), kept, bytes);
  };
  encode(10, 10);
  CHECK_THROWS_AS(encode(9, 10), std::invalid_argument);
  CHECK_THROWS_AS(encode(10, 9), std::invalid_argument);
  kept.pop_back();
  CHECK_THROWS_AS(encode(10, 10), std::invalid_argument);
  kept.resize(10);
  bytes.pop_back();
  CHECK_THROWS_AS(encode(10, 10), std::invalid_argument);
}
