#include "transfer/versions_down.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "tests/transfer/versions.hpp"

using namespace rubato;

TEST_CASE("with f32 a worker has the version itself, and nothing is encoded or kept") {
  const auto layout = make_layout();
  versions_down down(layout, codec::f32);
  const auto version = make_version(layout, 1);
  for (const bool first : {true, false}) {
    const auto sent = down.send(3, first, version);
    CHECK(sent.base == version);
    CHECK(sent.encoded == nullptr);
    CHECK(sent.bytes == encoded_size(codec::f32, layout));
  }
  CHECK(down.known().empty());
}

TEST_CASE("with bf16 all workers share one buffer of a version") {
  const auto layout = make_layout();
  versions_down down(layout, codec::bf16);
  const auto version = make_version(layout, 1);
  const auto one = down.send(0, true, version);
  const auto other = down.send(1, false, version);
  CHECK(one.base == other.base);
  CHECK(one.bytes == encoded_size(codec::bf16, layout));
  CHECK(one.base->data()[0] != version->data()[0]);
  CHECK(one.base->data()[0] == doctest::Approx(version->data()[0]).epsilon(0.005));
  // Averaged and local tensors as they are.
  const std::size_t coded = layout.end(section::trainable);
  CHECK(std::memcmp(one.base->data() + coded, version->data() + coded,
                    (layout.size() - coded) * sizeof(float)) == 0);
  CHECK(down.send(0, false, make_version(layout, 2)).base != one.base);
  CHECK(down.known().empty());
}

TEST_CASE("differences are to what each worker has, which the bytes alone give") {
  const auto layout = make_layout();
  versions_down down(layout, codec::int8);
  const auto first = make_version(layout, 1);
  const auto begun = down.send(0, true, first);
  CHECK(begun.base == first);
  CHECK(begun.bytes == encoded_size(codec::f32, layout));
  down.send(1, true, make_version(layout, 2));  // another worker has something else

  version_ptr held = begun.base;
  for (std::uint64_t number = 3; number < 10; ++number) {
    const auto version = make_version(layout, number);
    const auto sent = down.send(0, false, version);
    CHECK(sent.bytes == encoded_size(codec::int8, layout));
    CHECK(sent.form == version_form{codec::int8, true});
    auto received = std::make_shared<parameter_buffer>(layout.size());
    decode_version(sent.form, layout, std::as_bytes(sent.encoded->span()), held.get(), *received);
    std::copy_n(version->data() + layout.end(section::averaged), 16,
                received->data() + layout.end(section::averaged));
    REQUIRE(same_bits(received, sent.base));
    held = received;
    CHECK(down.known().at(0) == sent.base);
  }
  CHECK(down.known().size() == 2);
}

TEST_CASE("what workers have can be saved, and a worker that begins anew needs none of it") {
  const auto layout = make_layout();
  versions_down down(layout, codec::int4);
  down.send(0, true, make_version(layout, 1));
  down.send(0, false, make_version(layout, 2));
  versions_down other(layout, codec::int4);
  other.restore(down.known());
  const auto version = make_version(layout, 3);
  CHECK(same_bits(down.send(0, false, version).base, other.send(0, false, version).base));
  CHECK(down.send(0, true, version).base == version);
}
