#include "transfer/versions_here.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

#include "tests/transfer/versions.hpp"
#include "transfer/versions_down.hpp"

using namespace rubato;

namespace {

byte_span bytes_of(const version_ptr& buffer) {
  return std::as_bytes(buffer->span());
}

}  // namespace

TEST_CASE("workers have here what versions_down says that they have, bit for bit") {
  const auto layout = make_layout();
  for (const codec c : {codec::bf16, codec::int8, codec::int4}) {
    versions_down down(layout, c);
    versions_here here(layout, c);
    for (const versions_here::worker w : {0U, 1U}) {
      const auto begun = down.send(w, true, make_version(layout, w));
      const auto base = here.whole(bytes_of(begun.base));
      here.begin(w, base);
      CHECK(same_bits(base, begun.base));
    }
    for (std::uint64_t number = 2; number < 12; ++number) {
      const auto worker = static_cast<versions_here::worker>(number % 3 == 0 ? 1 : 0);
      const auto sent = down.send(worker, false, make_version(layout, number));
      const auto base = here.coded(bytes_of(sent.encoded), worker);
      REQUIRE(same_bits(base, sent.base));
    }
  }
}

TEST_CASE("a worker that begins again begins with a whole version") {
  const auto layout = make_layout();
  versions_down down(layout, codec::int4);
  versions_here here(layout, codec::int4);
  here.begin(0, here.whole(bytes_of(down.send(0, true, make_version(layout, 1)).base)));
  down.send(0, false, make_version(layout, 2));  // never gets there
  here.begin(0, here.whole(bytes_of(down.send(0, true, make_version(layout, 3)).base)));
  const auto sent = down.send(0, false, make_version(layout, 4));
  CHECK(same_bits(here.coded(bytes_of(sent.encoded), 0), sent.base));
}

TEST_CASE(
    "a difference that nobody waits for changes nothing, an absolute version is there for all") {
  const auto layout = make_layout();
  const auto first = make_version(layout, 1), second = make_version(layout, 2);
  for (const codec c : {codec::bf16, codec::int8}) {
    versions_down down(layout, c);
    versions_here here(layout, c);
    const auto begun = down.send(0, true, first).base;
    here.begin(0, here.whole(bytes_of(begun)));
    const auto sent = down.send(0, false, second);
    const auto base = here.coded(bytes_of(sent.encoded), {});
    CHECK((base == nullptr) == (c == codec::int8));
    CHECK(same_bits(here.coded(bytes_of(sent.encoded), 0), sent.base));
  }
}

TEST_CASE("what has nothing before it or is of another size is refused") {
  const auto layout = make_layout();
  versions_down down(layout, codec::int8);
  versions_here here(layout, codec::int8);
  const auto version = make_version(layout, 1);
  down.send(0, true, version);
  const auto sent = down.send(0, false, version);
  CHECK_THROWS_AS(here.coded(bytes_of(sent.encoded), 0), std::invalid_argument);
  here.begin(0, here.whole(bytes_of(version)));
  CHECK_THROWS_AS(here.coded(bytes_of(sent.encoded), 1), std::invalid_argument);
  CHECK_THROWS_AS(here.coded(bytes_of(sent.encoded).first(8), 0), std::invalid_argument);
  CHECK_THROWS_AS(here.whole(bytes_of(sent.encoded)), std::invalid_argument);
}
