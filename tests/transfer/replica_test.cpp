#include "transfer/replica.hpp"

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

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
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

std::vector<std::byte> encoded(const mirror& m, const floats& version) {
  std::vector<std::byte> bytes(encoded_size(m.next().how, version.size()));
  m.encode(version, bytes);
  return bytes;
}

void apply(replica& r, mirror::form form, const std::vector<std::byte>& bytes) {
  if (form.difference) {
    r.add(form.how, bytes);
  } else {
    r.set(form.how, bytes);
  }
}

double distance(std::span<const float> a, std::span<const float> b) {
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::fabs(static_cast<double>(a[i]) - b[i]));
  }
  return most;
}

}  // namespace

TEST_CASE("mirror and receiver never differ by a bit, and stay within one error of the versions") {
  for (const codec absolute : {codec::f32, codec::bf16}) {
    for (const codec difference : {codec::bf16, codec::int8, codec::int4}) {
      const double steps = difference == codec::int4 ? 7 : 127;
      walk versions(0.01F);
      mirror sender(count, absolute, difference);
      replica receiver(count);
      for (int version = 0; version < 100; ++version) {
        const auto form = sender.next();
        CHECK(form.difference == (version > 0));
        CHECK(form.how == (version > 0 ? difference : absolute));
        const auto bytes = encoded(sender, versions.values());
        // Some transfers are cancelled, and the next version is coded instead.
        if (version % 7 != 3) {
          apply(receiver, form, bytes);
          sender.delivered(bytes);
          REQUIRE(same_bits(sender.values(), receiver.values()));
          // Steps since the last delivery: 2 after a cancelled one. The first version in bf16 is
          // off by more than a difference ever is.
          if (version > 3) {
            REQUIRE(distance(receiver.values(), versions.values()) <=
                    2 * 0.01 / (2 * steps - 1) * 1.001 + 1e-6);
          }
        }
        versions.step();
      }
    }
  }
}

TEST_CASE("a mirror that was reset begins anew with absolute values") {
  walk versions(0.01F);
  mirror sender(count, codec::f32, codec::int4);
  replica receiver(count);
  CHECK(receiver.blank());
  for (int version = 0; version < 2; ++version) {
    const auto form = sender.next();
    const auto bytes = encoded(sender, versions.values());
    apply(receiver, form, bytes);
    sender.delivered(bytes);
    versions.step();
  }
  sender.reset();
  CHECK_FALSE(sender.next().difference);
  const auto bytes = encoded(sender, versions.values());
  receiver.set(codec::f32, bytes);
  sender.delivered(bytes);
  CHECK(same_bits(receiver.values(), versions.values()));
  CHECK(same_bits(sender.values(), receiver.values()));
}

TEST_CASE("a difference to nothing, and bytes of another size, are refused and change nothing") {
  replica r(10);
  std::vector<std::byte> bytes(encoded_size(codec::int8, 10));
  CHECK_THROWS_AS(r.add(codec::int8, bytes), std::logic_error);
  r.set(codec::int8, bytes);
  const floats before(r.values().begin(), r.values().end());
  bytes.pop_back();
  CHECK_THROWS_AS(r.add(codec::int8, bytes), std::invalid_argument);
  CHECK_THROWS_AS(r.set(codec::int8, bytes), std::invalid_argument);
  CHECK(same_bits(r.values(), before));
  r.clear();
  CHECK(r.blank());
}

TEST_CASE("absolute values do not go as int8 or int4") {
  CHECK_THROWS_AS(mirror(10, codec::int8, codec::int8), std::invalid_argument);
  CHECK_THROWS_AS(mirror(10, codec::int4, codec::int8), std::invalid_argument);
}
