#include "transfer/sender.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bytes/crc32c.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

using outcome = transfer_finished::outcome;
using actions = std::vector<sender_action>;

constexpr std::size_t size = 1950;
constexpr std::uint32_t chunk_bytes = 200;  // ten chunks, the last one shorter

transfer_sender::setting usual() {
  return {.chunk_bytes = chunk_bytes, .timing = {.stall = 1s, .give_up = 20s}};
}

std::vector<std::byte> bytes() {
  std::vector<std::byte> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * i + i / 256);
  return out;
}

transfer_label label(std::uint64_t transfer, codec how = codec::f32) {
  return {.transfer = transfer, .version = 8, .base = 7, .kind = 3, .how = how};
}

transfer_sender started(std::uint64_t transfer = 1) {
  transfer_sender s(usual());
  s.start(0s, label(transfer), transfer_content(bytes()));
  return s;
}

transfer_credit credit(std::uint32_t serial, std::uint32_t next, std::uint32_t limit,
                       std::uint64_t again = 0, std::uint64_t transfer = 1) {
  return sealed(transfer_credit{transfer, again, serial, next, limit, 0});
}

transfer_verdict ruling(verdict what, std::uint64_t expected = 0, std::uint64_t transfer = 1) {
  return sealed(transfer_verdict{transfer, expected, static_cast<std::uint8_t>(what), 0});
}

/// The chunks among the actions, which are nothing else, each as it must be.
std::vector<std::uint32_t> chunks(const actions& a) {
  std::vector<std::uint32_t> out;
  const auto content = bytes();
  for (const auto& action : a) {
    REQUIRE(std::holds_alternative<transfer_chunk>(action));
    const auto& c = std::get<transfer_chunk>(action);
    CHECK(intact(c));
    CHECK(c.offset == c.index * std::uint64_t{chunk_bytes});
    CHECK(c.length == std::min<std::size_t>(chunk_bytes, size - c.offset));
    REQUIRE(c.payload.size() == c.length);
    CHECK(std::memcmp(c.payload.data(), content.data() + c.offset, c.length) == 0);
    out.push_back(c.index);
  }
  return out;
}

template <class T>
T only(const actions& a) {
  REQUIRE(a.size() == 1);
  REQUIRE(std::holds_alternative<T>(a[0]));
  if constexpr (transfer_message<T>) REQUIRE(intact(std::get<T>(a[0])));
  return std::get<T>(a[0]);
}

using indexes = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("an offer says what there is, and nothing is sent before credit") {
  transfer_sender s(usual());
  CHECK(s.idle());
  CHECK_FALSE(s.deadline());
  const auto content = bytes();
  const auto offer =
      only<transfer_offer>(s.start(2s, label(9, codec::int8), transfer_content(content)));
  CHECK(offer.transfer == 9);
  CHECK(offer.version == 8);
  CHECK(offer.base == 7);
  CHECK(offer.kind == 3);
  CHECK(offer.codec == 2);
  CHECK(offer.protocol == transfer_protocol);
  CHECK(offer.resume == 0);
  CHECK(offer.total_bytes == size);
  CHECK(offer.chunk_bytes == 132);  // one block: two would be more than a chunk may have
  CHECK(offer.content_checksum == crc32c(content));
  CHECK(s.deadline() == 3s);
}

TEST_CASE("chunks are of whole units of the codec") {
  for (const codec c : {codec::f32, codec::bf16, codec::int8, codec::int4}) {
    transfer_sender s({.chunk_bytes = 1 << 20, .timing = {}});
    const auto offer = only<transfer_offer>(s.start(0s, label(1, c), transfer_content(bytes())));
    CHECK(offer.chunk_bytes % unit_of(c).bytes == 0);
    CHECK(offer.chunk_bytes > (1 << 20) - 132);
  }
}

TEST_CASE("chunks go out as credit comes in, once each") {
  auto s = started();
  CHECK(chunks(s.receive(0s, credit(1, 0, 4, 0b1111))) == indexes{0, 1, 2, 3});
  CHECK(chunks(s.receive(0s, credit(2, 1, 5))) == indexes{4});
  CHECK(chunks(s.receive(0s, credit(3, 2, 5))) == indexes{});
  CHECK(chunks(s.receive(0s, credit(4, 5, 9))) == indexes{5, 6, 7, 8});
  CHECK(chunks(s.receive(0s, credit(5, 9, 10))) == indexes{9});
  CHECK(s.counted().chunks == 10);
  CHECK(s.counted().again == 0);
  const auto end = only<transfer_finished>(s.receive(0s, ruling(verdict::delivered)));
  CHECK(end.transfer == 1);
  CHECK(end.what == outcome::delivered);
  CHECK(s.idle());
  CHECK_FALSE(s.deadline());
}

TEST_CASE("on a slow link chunks are smaller, as the transfer before has shown") {
  auto setting = usual();
  setting.least_chunk_bytes = 144;
  setting.chunk_time = 100ms;
  const auto chunk_bytes_after = [&](transfer_time taken, verdict end) {
    transfer_sender s(setting);
    s.start(0s, label(1), transfer_content(bytes()));
    s.receive(5s, credit(1, 0, 8));  // waiting for that says nothing of the link
    s.receive(5s + taken / 2, credit(2, 8, 10));
    s.receive(5s + taken, ruling(end));
    const auto next = s.start(60s, label(2), transfer_content(bytes()));
    return only<transfer_offer>(next).chunk_bytes;
  };
  const auto unit = static_cast<std::uint32_t>(unit_of(codec::f32).bytes);
  const auto whole = [&](std::uint32_t wanted) { return wanted / unit * unit; };
  CHECK(chunk_bytes_after(1s, verdict::delivered) == whole(195));  // 1950 bytes a second
  CHECK(chunk_bytes_after(1300ms, verdict::delivered) == whole(150));
  CHECK(chunk_bytes_after(10ms, verdict::delivered) == whole(200));  // never larger than told
  CHECK(chunk_bytes_after(10s, verdict::delivered) == whole(144));   // nor smaller
  CHECK(chunk_bytes_after(1300ms, verdict::damaged) == whole(200));  // which is not a measure
  CHECK(chunk_bytes_after(0s, verdict::delivered) == whole(200));
}

TEST_CASE("chunks that are asked for again are sent again, the same bytes") {
  auto s = started();
  s.receive(0s, credit(1, 0, 4, 0b1111));
  CHECK(chunks(s.receive(0s, credit(2, 1, 5, 0b0101))) == indexes{1, 3, 4});
  CHECK(chunks(s.receive(0s, credit(3, 1, 5, 0b1111))) == indexes{1, 2, 3, 4});
  CHECK(s.counted().again == 6);
}

TEST_CASE("credits that are out of date, foreign, damaged or impossible are passed over") {
  auto s = started();
  s.receive(0s, credit(5, 0, 4));
  CHECK(s.receive(0s, credit(5, 0, 8)).empty());
  CHECK(s.receive(0s, credit(4, 0, 8)).empty());
  CHECK(s.receive(0s, credit(6, 0, 8, 0, 2)).empty());
  CHECK(s.receive(0s, credit(6, 0, 11)).empty());
  CHECK(s.receive(0s, credit(6, 5, 4)).empty());
  auto damaged = credit(6, 0, 8);
  damaged.limit = 9;
  CHECK(s.receive(0s, damaged).empty());
  CHECK(chunks(s.receive(0s, credit(6, 0, 5))) == indexes{4});

  transfer_sender small({.chunk_bytes = 132, .timing = {}});
  small.start(0s, label(1), transfer_content(std::vector<std::byte>(132 * 100)));
  CHECK(small.receive(0s, credit(1, 0, 65)).empty());
  CHECK(small.receive(0s, credit(1, 36, 100)).size() == 64);
}

TEST_CASE("a sender without an answer asks ever less often, and then gives up") {
  auto s = started();
  std::vector<transfer_time> asked;
  while (s.deadline() != 20s) {
    const transfer_time now = *s.deadline();
    CHECK(s.tick(now - 1ns).empty());
    CHECK(only<transfer_offer>(s.tick(now)).resume == 0);
    asked.push_back(now);
  }
  CHECK(asked.front() == 1s);
  CHECK(asked.size() == 8);
  const auto end = s.tick(20s);
  REQUIRE(end.size() == 2);
  CHECK(std::get<transfer_cancel>(end[0]).transfer == 1);
  CHECK(std::get<transfer_finished>(end[1]).what == outcome::unknown);
  CHECK(s.idle());
}

TEST_CASE("credits without progress are signs of life, but not for ever") {
  auto s = started();
  std::uint32_t serial = 0;
  transfer_time now{0};
  while (!s.idle()) {
    now = *s.deadline();
    s.tick(now);
    if (!s.idle()) s.receive(now, credit(++serial, 0, 4));
  }
  CHECK(now == 20s);

  auto other = started();
  other.receive(15s, credit(1, 1, 4));
  other.receive(15s, credit(2, 1, 4));
  CHECK(*other.deadline() == 16s);
  other.tick(34s);
  CHECK_FALSE(other.idle());
  other.tick(35s);
  CHECK(other.idle());
}

TEST_CASE("after a reconnect the sender asks what is missing, and takes a new receiver as it is") {
  auto s = started();
  s.receive(0s, credit(41, 0, 4));
  s.receive(0s, credit(42, 4, 8));
  CHECK(only<transfer_offer>(s.reconnected(1s)).resume == 1);
  CHECK(chunks(s.receive(1s, credit(1, 0, 4, 0b1111))) == indexes{0, 1, 2, 3});
  CHECK(chunks(s.receive(1s, credit(2, 4, 8))) == indexes{4, 5, 6, 7});
  CHECK(transfer_sender(usual()).reconnected(0s).empty());
}

TEST_CASE("a cancelled transfer ends with what the receiver says about it") {
  for (const auto& [what, expected] : {std::pair{verdict::cancelled, outcome::cancelled},
                                       std::pair{verdict::delivered, outcome::delivered},
                                       std::pair{verdict::stalled, outcome::failed}}) {
    auto s = started();
    s.receive(0s, credit(1, 0, 4));
    CHECK(only<transfer_cancel>(s.cancel(0s)).transfer == 1);
    CHECK_FALSE(s.idle());
    CHECK(s.cancel(0s).empty());
    CHECK(s.receive(0s, credit(2, 4, 8)).empty());
    only<transfer_cancel>(s.tick(1s));
    only<transfer_cancel>(s.reconnected(2s));
    CHECK(only<transfer_finished>(s.receive(2s, ruling(what))).what == expected);
    CHECK(s.idle());
  }
  auto s = started();
  s.cancel(10s);
  CHECK(s.tick(29s).size() == 1);
  CHECK(s.tick(30s).size() == 2);
  CHECK(s.idle());
  CHECK(s.cancel(0s).empty());
}

TEST_CASE("what the receiver decides ends the transfer, with a reason for people") {
  const auto end_with = [](verdict what, std::uint64_t expected = 0) {
    auto s = started();
    return only<transfer_finished>(s.receive(0s, ruling(what, expected)));
  };
  for (const verdict what : {verdict::superseded, verdict::stalled, verdict::damaged,
                             verdict::wrong_content, verdict::out_of_order}) {
    CHECK(end_with(what).what == outcome::failed);
  }
  for (const verdict what :
       {verdict::unknown_protocol, verdict::unexpected_kind, verdict::unexpected_codec,
        verdict::wrong_size, verdict::wrong_chunk_size, static_cast<verdict>(200)}) {
    CHECK(end_with(what).what == outcome::refused);
  }
  CHECK(end_with(verdict::wrong_size, 4000).reason ==
        "the receiver's model needs 4000 bytes in this codec");

  auto s = started();
  CHECK(s.receive(0s, ruling(verdict::delivered, 0, 2)).empty());
  auto damaged = ruling(verdict::stalled);
  damaged.what = 0;
  CHECK(s.receive(0s, damaged).empty());
  CHECK_FALSE(s.idle());
}

TEST_CASE("the content is shared, not copied, and let go of at the end") {
  const auto owner = std::make_shared<const std::vector<std::byte>>(bytes());
  const transfer_content content(owner, *owner);
  CHECK(content.bytes().data() == owner->data());
  CHECK(owner.use_count() == 2);
  transfer_sender one(usual());
  transfer_sender other(usual());
  one.start(0s, label(1), content);
  other.start(0s, label(1), content);
  CHECK(owner.use_count() == 4);
  one.receive(0s, ruling(verdict::delivered));
  other.receive(0s, ruling(verdict::stalled));
  CHECK(owner.use_count() == 2);
}

TEST_CASE("a sender takes one transfer after the other, and no nonsense") {
  auto s = started();
  CHECK_THROWS_AS(s.start(0s, label(2), transfer_content(bytes())), std::logic_error);
  s.receive(0s, ruling(verdict::delivered));
  CHECK_THROWS_AS(s.start(0s, label(2), transfer_content(std::vector<std::byte>())),
                  std::invalid_argument);
  CHECK(s.start(0s, label(2), transfer_content(bytes())).size() == 1);
  CHECK_THROWS_AS(transfer_sender({.chunk_bytes = 131, .timing = {}}), std::invalid_argument);
  CHECK_THROWS_AS(transfer_sender({.chunk_bytes = 1000, .timing = {.stall = 1s, .give_up = 1s}}),
                  std::invalid_argument);
}
