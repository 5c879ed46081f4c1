#include "transfer/codec.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "config/random.hpp"
#include "tests/each_instruction_set.hpp"
#if defined(__x86_64__)
#  include <immintrin.h>
#endif

using namespace rubato;

namespace {

constexpr codec all_codecs[] = {codec::f32, codec::bf16, codec::int8, codec::int4};
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

using floats = std::vector<float>;
using bytes = std::vector<std::byte>;

std::uint32_t bits(float x) {
  return std::bit_cast<std::uint32_t>(x);
}

float from_bits(std::uint32_t b) {
  return std::bit_cast<float>(b);
}

std::vector<std::uint32_t> all_bits(const floats& x) {
  std::vector<std::uint32_t> out;
  for (const float value : x) out.push_back(bits(value));
  return out;
}

bytes encoded(codec c, const floats& x) {
  bytes out(encoded_size(c, x.size()));
  encode(c, x, out);
  return out;
}

floats decoded(codec c, const bytes& b, std::size_t values) {
  floats out(values);
  decode(c, b, out);
  return out;
}

floats there_and_back(codec c, const floats& x) {
  return decoded(c, encoded(c, x), x.size());
}

random_generator generator(std::uint64_t seed) {
  return {seed, random_stream::test};
}

floats normal(std::size_t count, std::uint64_t seed, double size = 1.0) {
  auto random = generator(seed);
  floats x(count);
  for (float& value : x) value = static_cast<float>(size * random.normal());
  return x;
}

/// Any floats at all; every now and then a block of ordinary ones.
floats any_bits(std::size_t count, std::uint64_t seed) {
  auto random = generator(seed);
  floats x(count);
  bool ordinary = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (i % block_values == 0) ordinary = random.below(2) == 0;
    x[i] = ordinary ? static_cast<float>(std::exp(40 * random.normal()) * random.normal())
                    : from_bits(static_cast<std::uint32_t>(random()));
  }
  return x;
}

/// From the definition in the header, in plain steps.
bytes slow_blocks(codec c, const floats& x) {
  const float steps = c == codec::int8 ? 127.0F : 7.0F;
  bytes out;
  for (std::size_t first = 0; first < x.size(); first += block_values) {
    const std::size_t count = std::min(block_values, x.size() - first);
    float largest = 0.0F;
    bool finite = true;
    for (std::size_t i = 0; i < count; ++i) {
      finite = finite && std::isfinite(x[first + i]);
      largest = std::max(largest, std::fabs(x[first + i]));
    }
    float scale = largest / steps;
    if (largest < std::ldexp(1.0F, -119)) scale = 0.0F;
    if (!finite) scale = not_a_number;
    if (std::isinf(scale * steps)) scale = std::nextafter(scale, 0.0F);
    const auto* scale_bytes = reinterpret_cast<const std::byte*>(&scale);
    out.insert(out.end(), scale_bytes, scale_bytes + 4);

    std::vector<int> codes;
    for (std::size_t i = 0; i < count; ++i) {
      const bool coded = finite && scale > 0.0F;
      codes.push_back(coded ? static_cast<int>(std::nearbyint(x[first + i] / scale)) : 0);
    }
    if (c == codec::int8) {
      for (const int q : codes) out.push_back(static_cast<std::byte>(q));
    } else {
      const std::size_t half = (count + 1) / 2;
      for (std::size_t j = 0; j < half; ++j) {
        const int upper = half + j < count ? codes[half + j] : 0;
        out.push_back(static_cast<std::byte>(((upper & 15) << 4) | (codes[j] & 15)));
      }
    }
  }
  return out;
}

}  // namespace

TEST_CASE("every codec has a name and a number, and unknown ones are none") {
  for (const codec c : all_codecs) {
    CHECK(find_codec(name(c)) == c);
    CHECK(find_codec(static_cast<std::uint8_t>(c)) == c);
  }
  CHECK_FALSE(find_codec("int2"));
  CHECK_FALSE(find_codec(std::uint8_t{4}));
  CHECK(static_cast<int>(codec::int4) == 3);
}

TEST_CASE("the size of encoded values is that of whole blocks and of what is left") {
  CHECK(encoded_size(codec::f32, 1000) == 4000);
  CHECK(encoded_size(codec::bf16, 1000) == 2000);
  for (const codec c : all_codecs) CHECK(encoded_size(c, 0) == 0);
  CHECK(encoded_size(codec::int8, 1) == 5);
  CHECK(encoded_size(codec::int8, 128) == 132);
  CHECK(encoded_size(codec::int8, 129) == 132 + 5);
  CHECK(encoded_size(codec::int4, 1) == 5);
  CHECK(encoded_size(codec::int4, 2) == 5);
  CHECK(encoded_size(codec::int4, 3) == 6);
  CHECK(encoded_size(codec::int4, 128) == 68);
  CHECK(encoded_size(codec::int4, 3 * 128 + 127) == 3 * 68 + 68);
}

TEST_CASE("f32 brings back every bit of infinity, NaN, denormals and -0") {
  const floats x{infinity,
                 -infinity,
                 not_a_number,
                 from_bits(0xffc12345),
                 from_bits(0x7f800001),
                 1e-40F,
                 -1e-45F,
                 -0.0F,
                 0.0F,
                 3.4e38F};
  CHECK(all_bits(there_and_back(codec::f32, x)) == all_bits(x));
}

TEST_CASE("bf16 rounds every kind of float to the nearest, and ties to even") {
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
    floats x;
    for (const std::uint32_t lower : {0x0000U, 0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
      x.push_back(from_bits(upper << 16 | lower));
    }
    const floats back = there_and_back(codec::bf16, x);
    const bool is_nan = (upper & 0x7f80) == 0x7f80 && (upper & 0x7f) != 0;
    const bool is_infinity = (upper & 0x7fff) == 0x7f80;
    if (is_nan) {
      for (const float y : back) REQUIRE(bits(y) == (upper | 0x40) << 16);
      continue;
    }
    if (is_infinity) {
      REQUIRE(bits(back[0]) == upper << 16);
      for (std::size_t i = 1; i < back.size(); ++i) REQUIRE(std::isnan(back[i]));
      continue;
    }
    // The next one away from zero; of the largest float it is infinity, in its stead.
    const std::uint32_t even = upper + upper % 2;
    const std::vector<std::uint32_t> expected{upper, upper, upper, even, upper + 1, upper + 1};
    for (std::size_t i = 0; i < back.size(); ++i) REQUIRE(bits(back[i]) == expected[i] << 16);
  }
}

TEST_CASE("bf16 loses no more than its bound") {
  for (const float x : any_bits(20000, 3)) {
    const float y = there_and_back(codec::bf16, {x})[0];
    if (std::isnan(x) || std::isinf(y)) continue;
    const double bound =
        std::max(std::ldexp(std::fabs(static_cast<double>(x)), -8), std::ldexp(1.0, -134));
    REQUIRE(std::fabs(static_cast<double>(y) - x) <= bound);
  }
}

TEST_CASE("int8 and int4 are what their definition says, at every length") {
  for (const codec c : {codec::int8, codec::int4}) {
    for (std::size_t count = 0; count <= 300; ++count) {
      const floats x = normal(count, count, 0.01);
      REQUIRE(encoded(c, x) == slow_blocks(c, x));
    }
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      const floats x = any_bits(5 * block_values, seed);
      REQUIRE(encoded(c, x) == slow_blocks(c, x));
    }
  }
}

TEST_CASE("int8 and int4 lose at most half a step of their block's scale") {
  for (const codec c : {codec::int8, codec::int4}) {
    const double steps = c == codec::int8 ? 127 : 7;
    for (const double size : {1e-30, 1e-3, 1.0, 1e30}) {
      const floats x = normal(1000, 5, size);
      const floats y = there_and_back(c, x);
      double worst = 0.0;
      for (std::size_t first = 0; first < x.size(); first += block_values) {
        double largest = 0.0;
        const std::size_t end = std::min(first + block_values, x.size());
        for (std::size_t i = first; i < end; ++i) {
          largest = std::max(largest, std::fabs(static_cast<double>(x[i])));
        }
        const double scale = largest / steps;
        for (std::size_t i = first; i < end; ++i) {
          const double error = std::fabs(static_cast<double>(x[i]) - y[i]) / scale;
          CHECK(error <= 0.5 + std::ldexp(1.0, -16));
          worst = std::max(worst, error);
        }
      }
      CHECK(worst > 0.45);  // the bound is no wider than need be
    }
  }
}

TEST_CASE("a block of zeros stays zero, and so does one too small for a normal scale") {
  for (const codec c : {codec::int8, codec::int4}) {
    for (const float small : {0.0F, -0.0F, 1e-45F, 1e-38F, std::ldexp(1.4999F, -120)}) {
      const bytes b = encoded(c, floats(200, small));
      CHECK(b == bytes(b.size()));
      for (const float y : decoded(c, b, 200)) REQUIRE(bits(y) == 0);
    }
    const float least = std::ldexp(1.0F, -119);
    CHECK(there_and_back(c, {least})[0] == doctest::Approx(least).epsilon(1e-6));
  }
}

TEST_CASE("the largest floats come back finite") {
  const float largest = std::numeric_limits<float>::max();
  for (const codec c : {codec::int8, codec::int4}) {
    for (const float x : {largest, -largest, std::nextafter(largest, 0.0F), 3.3e38F}) {
      const float y = there_and_back(c, {x, 1.0F})[0];
      CHECK(std::isfinite(y));
      CHECK(y == doctest::Approx(x).epsilon(1e-5));
    }
  }
}

TEST_CASE("a block with a value that is not finite becomes NaN, and its neighbours do not") {
  for (const codec c : {codec::int8, codec::int4}) {
    for (const float bad : {not_a_number, -not_a_number, infinity, -infinity}) {
      floats x = normal(3 * block_values, 7);
      x[block_values + 5] = bad;
      const floats y = there_and_back(c, x);
      for (std::size_t i = 0; i < y.size(); ++i) {
        REQUIRE(std::isnan(y[i]) == (i / block_values == 1));
      }
    }
  }
}

TEST_CASE("any part that begins at a unit is coded as it is within the whole") {
  const floats x = normal(10 * block_values + 77, 11);
  for (const codec c : all_codecs) {
    const bytes whole = encoded(c, x);
    const floats back = decoded(c, whole, x.size());
    const std::size_t unit = unit_of(c).values;
    for (const std::size_t first : {0 * unit, 1 * unit, 4 * unit}) {
      for (const std::size_t last : {5 * unit, 10 * unit, x.size()}) {
        const floats part(x.begin() + first, x.begin() + last);
        const auto begin = whole.begin() + encoded_size(c, first);
        const bytes part_bytes(begin, begin + encoded_size(c, part.size()));
        CHECK(encoded(c, part) == part_bytes);
        CHECK(decoded(c, part_bytes, part.size()) ==
              floats(back.begin() + first, back.begin() + last));
      }
    }
  }
}

TEST_CASE("all instruction sets give the same bits") {
  for (const codec c : all_codecs) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      const std::size_t count = generator(seed).below(1000);
      const floats x = any_bits(count, seed);
      // Bytes that no encoder makes as well.
      bytes made_up(encoded_size(c, count));
      auto random = generator(seed + 1000);
      for (std::byte& byte : made_up) byte = static_cast<std::byte>(random());

      // Of the first, which is the baseline.
      std::vector<bytes> encodings;
      std::vector<std::vector<std::uint32_t>> values;
      in_each_instruction_set([&] {
        encodings.push_back(encoded(c, x));
        values.push_back(all_bits(decoded(c, encodings.back(), count)));
        values.push_back(all_bits(decoded(c, made_up, count)));
        REQUIRE(encodings.back() == encodings.front());
        REQUIRE(values[values.size() - 2] == values[0]);
        REQUIRE(values.back() == values[1]);
      });
    }
  }
}

#if defined(__x86_64__)
TEST_CASE("a thread that flushes denormals to zero codes as all others do") {
  for (const codec c : all_codecs) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      floats x = any_bits(4 * block_values, seed);
      for (std::size_t i = 0; i < block_values; ++i) x[i] = std::ldexp(x[i], -60);
      const bytes usual = encoded(c, x);
      const auto usual_values = all_bits(decoded(c, usual, x.size()));
      const unsigned mode = _mm_getcsr();
      _mm_setcsr(mode | 0x8040);  // flush to zero, denormals are zero
      const bytes flushed = encoded(c, x);
      const floats flushed_values = decoded(c, usual, x.size());
      _mm_setcsr(mode);
      REQUIRE(flushed == usual);
      REQUIRE(all_bits(flushed_values) == usual_values);
    }
  }
}
#endif

TEST_CASE("the bytes of each codec are these, on every machine and for ever") {
  const auto as_bytes = [](std::initializer_list<int> numbers) {
    bytes out;
    for (const int n : numbers) out.push_back(static_cast<std::byte>(n));
    return out;
  };
  const floats x{1.0F, -127.0F, 63.4F};
  CHECK(encoded(codec::f32, {1.0F, -2.5F}) == as_bytes({0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0}));
  CHECK(encoded(codec::bf16, {1.0F, -2.5F}) == as_bytes({0x80, 0x3f, 0x20, 0xc0}));
  CHECK(encoded(codec::int8, x) == as_bytes({0, 0, 0x80, 0x3f, 1, 0x81, 63}));
  // Scale 2; 1 and -7 share no byte: of three values the first two are lower halves.
  CHECK(encoded(codec::int4, {2.0F, -14.0F, 5.0F}) == as_bytes({0, 0, 0, 0x40, 0x21, 0x09}));
}

TEST_CASE("sizes that do not fit are refused") {
  floats x(10);
  bytes b(encoded_size(codec::int8, 10) + 1);
  CHECK_THROWS_AS(encode(codec::int8, x, b), std::invalid_argument);
  CHECK_THROWS_AS(decode(codec::int8, b, x), std::invalid_argument);
}
