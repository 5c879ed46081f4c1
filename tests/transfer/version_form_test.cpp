#include "transfer/version_form.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "config/random.hpp"

using namespace rubato;

namespace {

constexpr std::size_t count = 5000;  // more than one piece, and no whole number of blocks

using floats = std::vector<float>;

bool same_bits(const floats& a, const floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// A model that changes by at most `most` in every step.
class walk {
 public:
  explicit walk(float most) : most_(most), values_(count) {
    for (float& value : values_) value = static_cast<float>(random_.normal());
  }
  const floats& values() const { return values_; }
  void step() {
    for (float& value : values_) value += static_cast<float>(2 * random_.uniform() - 1) * most_;
  }

 private:
  random_generator random_{1, random_stream::test};
  float most_;
  floats values_;
};

std::vector<std::byte> encoded(version_form form, const floats& version, const floats& known) {
  std::vector<std::byte> bytes(encoded_size(form.how, version.size()));
  encode_version(form, version, known, bytes);
  return bytes;
}

double distance(const floats& a, const floats& b) {
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::fabs(static_cast<double>(a[i]) - b[i]));
  }
  return most;
}

}  // namespace

TEST_CASE("int8 and int4 are differences, but for the first version, which is exact") {
  CHECK(form_of(codec::f32, true) == version_form{codec::f32, false});
  CHECK(form_of(codec::f32, false) == version_form{codec::f32, false});
  CHECK(form_of(codec::bf16, true) == version_form{codec::bf16, false});
  CHECK(form_of(codec::bf16, false) == version_form{codec::bf16, false});
  CHECK(form_of(codec::int8, true) == version_form{codec::f32, false});
  CHECK(form_of(codec::int8, false) == version_form{codec::int8, true});
  CHECK(form_of(codec::int4, false) == version_form{codec::int4, true});
}

TEST_CASE("both ends never differ by a bit, and stay within one error of the versions") {
  for (const codec absolute : {codec::f32, codec::bf16}) {
    for (const codec difference : {codec::bf16, codec::int8, codec::int4}) {
      const double steps = difference == codec::int4 ? 7 : 127;
      walk versions(0.01F);
      floats sender(count), receiver(count);
      for (int version = 0; version < 100; ++version) {
        const version_form form{version > 0 ? difference : absolute, version > 0};
        const auto bytes = encoded(form, versions.values(), sender);
        // Some are not sent after all, and the next version is coded instead.
        if (version % 7 != 3) {
          floats fresh(count);
          decode_version(form, bytes, receiver, fresh);
          receiver = fresh;
          decode_version(form, bytes, sender, sender);
          REQUIRE(same_bits(sender, receiver));
          // Steps since the last delivery: 2 after one that was not sent. The first version in bf16
          // is off by more than a difference ever is.
          if (version > 3) {
            REQUIRE(distance(receiver, versions.values()) <=
                    2 * 0.01 / (2 * steps - 1) * 1.001 + 1e-6);
          }
        }
        versions.step();
      }
    }
  }
}

TEST_CASE("bytes and values of another number are refused and change nothing") {
  std::vector<std::byte> bytes(encoded_size(codec::int8, 10));
  const version_form form{codec::int8, true};
  floats out(10, 1.0F);
  CHECK_THROWS_AS(decode_version(form, bytes, floats(9), out), std::invalid_argument);
  CHECK_THROWS_AS(encode_version(form, floats(10), floats(9), bytes), std::invalid_argument);
  bytes.pop_back();
  CHECK_THROWS_AS(decode_version(form, bytes, floats(10), out), std::invalid_argument);
  CHECK_THROWS_AS(encode_version(form, floats(10), floats(10), bytes), std::invalid_argument);
  CHECK(out == floats(10, 1.0F));
}
