#include "transfer/receiver.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "bytes/crc32c.hpp"
#include "config/random.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

constexpr std::uint8_t kind = 1;
constexpr std::size_t values = 250;  // 1000 bytes of f32
constexpr std::uint32_t chunk_bytes = 100;

transfer_receiver::setting usual() {
  return {.expected = {{kind, values, {codec::f32, codec::int8}}, {2, 10, {codec::bf16}}},
          .window = 4,
          .max_chunk_bytes = 1024,
          .damaged_limit = 3,
          .timing = {.stall = 1s, .give_up = 20s}};
}

std::string content_of(std::uint64_t transfer) {
  random_generator random(transfer, random_stream::test);
  std::string content(values * sizeof(float), '\0');
  for (char& c : content) c = static_cast<char>(random());
  return content;
}

/// Not sealed yet, so that tests can spoil it.
transfer_offer offer_of(std::uint64_t transfer) {
  const std::string content = content_of(transfer);
  return {.transfer = transfer,
          .version = transfer + 7,
          .total_bytes = content.size(),
          .chunk_bytes = chunk_bytes,
          .content_checksum = crc32c(std::as_bytes(std::span(content))),
          .kind = kind,
          .codec = static_cast<std::uint8_t>(codec::f32)};
}

transfer_chunk chunk_of(std::uint64_t transfer, std::uint32_t index) {
  transfer_chunk chunk;
  chunk.transfer = transfer;
  chunk.index = index;
  chunk.offset = index * chunk_bytes;
  chunk.payload = content_of(transfer).substr(chunk.offset, chunk_bytes);
  chunk.length = static_cast<std::uint32_t>(chunk.payload.size());
  return sealed(chunk);
}

using actions = std::vector<receiver_action>;

/// The only action, which is of this type.
template <class T>
T only(const actions& a) {
  REQUIRE(a.size() == 1);
  REQUIRE(std::holds_alternative<T>(a[0]));
  if constexpr (transfer_message<T>) REQUIRE(intact(std::get<T>(a[0])));
  return std::get<T>(a[0]);
}

verdict ruling(const transfer_verdict& v) {
  return static_cast<verdict>(v.what);
}

/// A verdict for the sender, and the same for the owner.
verdict failure(const actions& a) {
  REQUIRE(a.size() == 2);
  const auto told = std::get<transfer_verdict>(a[0]);
  const auto lost = std::get<transfer_lost>(a[1]);
  CHECK(intact(told));
  CHECK(told.transfer == lost.transfer);
  CHECK(ruling(told) == lost.reason);
  return lost.reason;
}

/// All chunks from `first` on, the last of which completes the content.
void complete(transfer_receiver& r, std::uint64_t transfer, std::uint32_t first = 0) {
  for (std::uint32_t i = first; i < 9; ++i) r.receive(0s, chunk_of(transfer, i));
  const auto end = r.receive(0s, chunk_of(transfer, 9));
  REQUIRE(end.size() == 2);
  CHECK(ruling(std::get<transfer_verdict>(end[0])) == verdict::delivered);
  CHECK(std::get<content_arrived>(end[1]).offer.transfer == transfer);
  REQUIRE(r.complete());
  const std::string content = content_of(transfer);
  REQUIRE(r.content().size() == content.size());
  CHECK(std::memcmp(r.content().data(), content.data(), content.size()) == 0);
}

}  // namespace

TEST_CASE("a transfer in order is given credit as it goes on, and arrives whole") {
  transfer_receiver r(usual());
  auto credit = only<transfer_credit>(r.receive(0s, sealed(offer_of(5))));
  CHECK(credit.transfer == 5);
  CHECK(credit.next == 0);
  CHECK(credit.limit == 4);
  CHECK(credit.again == 0b1111);
  for (std::uint32_t i = 0; i < 6; ++i) {
    const std::uint32_t serial = credit.serial;
    credit = only<transfer_credit>(r.receive(0s, chunk_of(5, i)));
    CHECK(credit.next == i + 1);
    CHECK(credit.limit == i + 5);
    CHECK(credit.again == 0);
    CHECK(credit.serial > serial);
  }
  for (std::uint32_t i = 6; i < 9; ++i) CHECK(r.receive(0s, chunk_of(5, i)).empty());
  CHECK(r.content().empty());
  complete(r, 5, 9);
  CHECK_FALSE(r.deadline());
}

TEST_CASE("chunks may overtake each other and come twice") {
  transfer_receiver r(usual());
  r.receive(0s, sealed(offer_of(1)));
  CHECK(r.receive(0s, chunk_of(1, 3)).empty());
  CHECK(r.receive(0s, chunk_of(1, 1)).empty());
  CHECK(r.receive(0s, chunk_of(1, 1)).empty());
  CHECK(only<transfer_credit>(r.receive(0s, chunk_of(1, 0))).next == 2);
  CHECK(only<transfer_credit>(r.receive(0s, chunk_of(1, 2))).next == 4);
  CHECK(r.receive(0s, chunk_of(1, 0)).empty());
  CHECK(r.counted().duplicates == 2);
  complete(r, 1, 4);
}

TEST_CASE("a large window is given in quarters, and a window of 64 works to its edge") {
  auto s = usual();
  s.window = 64;
  s.expected = {{kind, 200, {codec::f32}}};
  transfer_receiver r(s);
  const std::string content(800, 'x');
  transfer_offer offer = offer_of(1);
  offer.total_bytes = 800;
  offer.chunk_bytes = 4;  // 200 chunks
  offer.content_checksum = crc32c(std::as_bytes(std::span(content)));
  CHECK(only<transfer_credit>(r.receive(0s, sealed(offer))).again == ~std::uint64_t{0});
  const auto give = [&](std::uint32_t index) {
    return r.receive(0s, sealed(transfer_chunk{1, index * 4, index, 4, 0, "xxxx"}));
  };
  for (std::uint32_t i = 63; i > 0; --i) CHECK(give(i).empty());
  const auto credit = only<transfer_credit>(give(0));
  CHECK(credit.next == 64);
  CHECK(credit.limit == 128);
  std::vector<std::uint32_t> limits;
  for (std::uint32_t i = 64; i < 199; ++i) {
    for (const auto& a : give(i)) limits.push_back(std::get<transfer_credit>(a).limit);
  }
  CHECK(limits == std::vector<std::uint32_t>{144, 160, 176, 192, 200});
  CHECK(give(199).size() == 2);
  CHECK(r.complete());
}

TEST_CASE("what does not fit is refused, and said why") {
  transfer_receiver r(usual());
  const auto refusal = [&](auto spoil) {
    transfer_offer offer = offer_of(1);
    spoil(offer);
    const auto v = only<transfer_verdict>(r.receive(0s, sealed(offer)));
    CHECK(v.transfer == 1);
    CHECK_FALSE(r.deadline());
    return std::pair{ruling(v), v.expected};
  };
  using pair = std::pair<verdict, std::uint64_t>;
  CHECK(refusal([](auto& o) { o.protocol = 2; }) == pair{verdict::unknown_protocol, 1});
  CHECK(refusal([](auto& o) { o.kind = 9; }) == pair{verdict::unexpected_kind, 0});
  CHECK(refusal([](auto& o) { o.codec = 4; }) == pair{verdict::unexpected_codec, 0});
  CHECK(refusal([](auto& o) { o.codec = 1; }) == pair{verdict::unexpected_codec, 0});
  for (const std::uint64_t size : {0ULL, 996ULL, 1004ULL, 1ULL << 40, ~0ULL}) {
    CHECK(refusal([&](auto& o) { o.total_bytes = size; }) == pair{verdict::wrong_size, 1000});
  }
  CHECK(refusal([](auto& o) { o.codec = 2; }) == pair{verdict::wrong_size, 132 + 4 + 122});
  for (const std::uint32_t size : {0U, 1028U, 102U, ~0U}) {
    CHECK(refusal([&](auto& o) { o.chunk_bytes = size; }) == pair{verdict::wrong_chunk_size, 1024});
  }
  // And then takes what does.
  only<transfer_credit>(r.receive(0s, sealed(offer_of(1))));
}

TEST_CASE(
    "a chunk that arrives damaged is asked for again at once; too many in a row are the end") {
  transfer_receiver r(usual());
  r.receive(0s, sealed(offer_of(1)));
  auto bad = chunk_of(1, 2);
  bad.payload[50] ^= 1;
  for (int round = 0; round < 3; ++round) {
    // Two in a row each time, and a good one between.
    for (int i = 0; i < 2; ++i) {
      const auto credit = only<transfer_credit>(r.receive(0s, bad));
      CHECK(credit.again == std::uint64_t{1} << (bad.index - credit.next));
    }
    r.receive(0s, chunk_of(1, round == 0 ? 0 : round == 1 ? 1 : 3));
  }
  for (int i = 0; i < 2; ++i) r.receive(0s, bad);
  CHECK(failure(r.receive(0s, bad)) == verdict::damaged);
  CHECK(r.counted().damaged == 9);
}

TEST_CASE("silence is followed by questions, ever less often, and then by the end") {
  transfer_receiver r(usual());
  r.receive(0s, sealed(offer_of(1)));
  r.receive(100ms, chunk_of(1, 0));
  r.receive(100ms, chunk_of(1, 3));
  std::vector<transfer_time> asked;
  while (r.deadline() != 20100ms) {
    const transfer_time now = *r.deadline();
    CHECK(r.tick(now - 1ns).empty());
    const auto credit = only<transfer_credit>(r.tick(now));
    CHECK(credit.next == 1);
    CHECK(credit.limit == 5);
    CHECK(credit.again == 0b011);  // 1 and 2, which 3 has overtaken; not 4
    asked.push_back(now);
  }
  CHECK(asked == std::vector<transfer_time>{1100ms, 3100ms, 5600ms, 8100ms, 10600ms, 13100ms,
                                            15600ms, 18100ms});
  CHECK(failure(r.tick(20100ms)) == verdict::stalled);
  CHECK_FALSE(r.deadline());
  // The sender learns it even later.
  CHECK(ruling(only<transfer_verdict>(r.receive(30s, sealed(offer_of(1))))) == verdict::stalled);
}

TEST_CASE("with nothing overtaken, only the first missing chunk is asked for") {
  transfer_receiver r(usual());
  r.receive(0s, sealed(offer_of(1)));
  r.receive(0s, chunk_of(1, 0));
  CHECK(only<transfer_credit>(r.tick(1s)).again == 1);
}

TEST_CASE("where chunks are always far apart, nobody grows impatient") {
  auto s = usual();
  s.expected = {{kind, values, {codec::f32}}};
  transfer_receiver r(s);
  r.receive(0s, sealed(offer_of(1)));
  // Four seconds each: the first takes it by surprise.
  transfer_time now{0};
  for (std::uint32_t i = 0; i < 10; ++i) {
    now += 4s;
    while (r.deadline() && *r.deadline() <= now) r.tick(*r.deadline());
    r.receive(now, chunk_of(1, i));
  }
  CHECK(r.complete());
  CHECK(r.counted().stalls == 2);
}

TEST_CASE("after a reconnect all that is missing is asked for, from the first missing chunk on") {
  transfer_receiver r(usual());
  transfer_offer offer = sealed(offer_of(1));
  r.receive(0s, offer);
  for (const std::uint32_t i : {0, 1, 3}) r.receive(0s, chunk_of(1, i));
  offer.resume = 1;
  const auto credit = only<transfer_credit>(r.receive(500ms, sealed(offer)));
  CHECK(credit.next == 2);
  CHECK(credit.limit == 6);
  CHECK(credit.again == 0b1101);
  CHECK(r.deadline() == 1500ms);
  complete(r, 1, 2);
}

TEST_CASE("an offer that is repeated is answered, and does not put off the receiver's question") {
  transfer_receiver r(usual());
  r.receive(0s, sealed(offer_of(1)));
  r.receive(0s, chunk_of(1, 0));
  for (int i = 0; i < 3; ++i) {
    const auto credit = only<transfer_credit>(r.receive(900ms, sealed(offer_of(1))));
    CHECK(credit.next == 1);
    CHECK(credit.again == 0);
  }
  CHECK(r.deadline() == 1s);
  transfer_offer other = offer_of(1);
  other.content_checksum += 1;
  CHECK(failure(r.receive(900ms, sealed(other))) == verdict::wrong_content);
}

TEST_CASE("a chunk that was not asked for, or does not fit its place, is the end") {
  const auto outcome = [](auto spoil) {
    transfer_receiver r(usual());
    r.receive(0s, sealed(offer_of(1)));
    transfer_chunk chunk = chunk_of(1, 2);
    spoil(chunk);
    return failure(r.receive(0s, sealed(chunk)));
  };
  CHECK(outcome([](auto& c) { c = chunk_of(1, 4); }) == verdict::out_of_order);
  CHECK(outcome([](auto& c) { c.index = ~0U; }) == verdict::out_of_order);
  CHECK(outcome([](auto& c) { c.offset = 300; }) == verdict::out_of_order);
  CHECK(outcome([](auto& c) { c.offset = ~0ULL; }) == verdict::out_of_order);
  CHECK(outcome([](auto& c) { c.length = 99; }) == verdict::out_of_order);
  CHECK(outcome([](auto& c) { c.payload += "x"; }) == verdict::out_of_order);
  CHECK(outcome([](auto& c) { c.payload.clear(); }) == verdict::out_of_order);
}

TEST_CASE("chunks of no or another transfer are passed over") {
  transfer_receiver r(usual());
  CHECK(r.receive(0s, chunk_of(1, 0)).empty());
  r.receive(0s, sealed(offer_of(2)));
  CHECK(r.receive(0s, chunk_of(1, 0)).empty());
  CHECK(r.receive(0s, chunk_of(3, 0)).empty());
  complete(r, 2);
  CHECK(r.receive(0s, chunk_of(2, 0)).empty());
}

TEST_CASE("whole chunks that are together not what was offered are not delivered") {
  transfer_receiver r(usual());
  transfer_offer offer = offer_of(1);
  offer.content_checksum ^= 1;
  r.receive(0s, sealed(offer));
  for (std::uint32_t i = 0; i < 9; ++i) r.receive(0s, chunk_of(1, i));
  CHECK(failure(r.receive(0s, chunk_of(1, 9))) == verdict::wrong_content);
  CHECK_FALSE(r.complete());
  CHECK(r.content().empty());
}

TEST_CASE("a transfer is cancelled unless it is there already") {
  transfer_receiver r(usual());
  r.receive(0s, sealed(offer_of(1)));
  CHECK(failure(r.receive(0s, sealed(transfer_cancel{1, 0}))) == verdict::cancelled);
  CHECK(ruling(only<transfer_verdict>(r.receive(0s, sealed(offer_of(1))))) == verdict::cancelled);

  r.receive(0s, sealed(offer_of(2)));
  complete(r, 2);
  CHECK(ruling(only<transfer_verdict>(r.receive(0s, sealed(transfer_cancel{2, 0})))) ==
        verdict::delivered);
  CHECK(r.complete());
  r.release(0s);
  CHECK(ruling(only<transfer_verdict>(r.receive(0s, sealed(transfer_cancel{2, 0})))) ==
        verdict::delivered);
}

TEST_CASE("a cancel that overtakes its offer holds") {
  transfer_receiver r(usual());
  r.receive(0s, sealed(offer_of(1)));
  const auto out = r.receive(0s, sealed(transfer_cancel{2, 0}));
  REQUIRE(out.size() == 3);  // with it, transfer 1 is out of date
  CHECK(std::get<transfer_lost>(out[1]).reason == verdict::superseded);
  CHECK(std::get<transfer_verdict>(out[2]).transfer == 2);
  CHECK(ruling(std::get<transfer_verdict>(out[2])) == verdict::cancelled);
  CHECK(ruling(only<transfer_verdict>(r.receive(0s, sealed(offer_of(2))))) == verdict::cancelled);
  CHECK(ruling(only<transfer_verdict>(r.receive(0s, sealed(offer_of(1))))) == verdict::superseded);
}

TEST_CASE("a newer offer supersedes, an older one is out of date") {
  transfer_receiver r(usual());
  r.receive(0s, sealed(offer_of(2)));
  r.receive(0s, chunk_of(2, 0));
  CHECK(ruling(only<transfer_verdict>(r.receive(0s, sealed(offer_of(1))))) == verdict::superseded);
  CHECK(ruling(only<transfer_verdict>(r.receive(0s, sealed(transfer_cancel{1, 0})))) ==
        verdict::superseded);
  const auto out = r.receive(0s, sealed(offer_of(3)));
  REQUIRE(out.size() == 2);
  CHECK(std::get<transfer_lost>(out[0]).transfer == 2);
  CHECK(std::get<transfer_credit>(out[1]).next == 0);
  complete(r, 3);
}

TEST_CASE("while content is read the newest offer waits, and nothing touches the content") {
  transfer_receiver r(usual());
  r.receive(0s, sealed(offer_of(1)));
  complete(r, 1);
  const std::byte* buffer = r.content().data();
  CHECK(r.receive(0s, sealed(offer_of(3))).empty());
  CHECK(ruling(only<transfer_verdict>(r.receive(0s, sealed(offer_of(2))))) == verdict::superseded);
  CHECK(r.receive(0s, sealed(offer_of(4))).empty());
  CHECK(r.receive(0s, chunk_of(4, 0)).empty());
  CHECK(std::memcmp(r.content().data(), content_of(1).data(), 1000) == 0);
  const auto credit = only<transfer_credit>(r.release(1s));
  CHECK(credit.transfer == 4);
  CHECK_THROWS_AS(r.release(1s), std::logic_error);
  complete(r, 4);
  CHECK(r.content().data() == buffer);

  // One that waits can be cancelled.
  CHECK(r.receive(0s, sealed(offer_of(5))).empty());
  CHECK(ruling(only<transfer_verdict>(r.receive(0s, sealed(transfer_cancel{5, 0})))) ==
        verdict::cancelled);
  CHECK(r.release(0s).empty());
  CHECK_FALSE(r.deadline());
}

TEST_CASE("each kind of content has its own size and codecs, in one buffer") {
  transfer_receiver r(usual());
  const std::string content(20, 'b');
  transfer_offer offer = offer_of(1);
  offer.kind = 2;
  offer.codec = static_cast<std::uint8_t>(codec::bf16);
  offer.total_bytes = 20;
  offer.content_checksum = crc32c(std::as_bytes(std::span(content)));
  CHECK(only<transfer_credit>(r.receive(0s, sealed(offer))).limit == 1);
  CHECK(r.receive(0s, sealed(transfer_chunk{1, 0, 0, 20, 0, content})).size() == 2);
  CHECK(r.content().size() == 20);
}

TEST_CASE("behind the values of a codec there may be some in f32") {
  auto setting = usual();
  setting.expected[1].exact = 16;
  transfer_receiver r(setting);
  transfer_offer offer = offer_of(1);
  offer.kind = 2;
  offer.codec = static_cast<std::uint8_t>(codec::bf16);
  offer.total_bytes = 20;
  const auto refused = only<transfer_verdict>(r.receive(0s, sealed(offer)));
  CHECK(ruling(refused) == verdict::wrong_size);
  CHECK(refused.expected == 20 + 64);
  offer.transfer = 2;
  offer.total_bytes = 84;
  CHECK(only<transfer_credit>(r.receive(0s, sealed(offer))).limit == 1);
}

TEST_CASE("any messages at all leave the receiver whole, and it can still be used") {
  std::set<verdict> rulings;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    random_generator random(seed, random_stream::test, {1});
    transfer_receiver r(usual());
    transfer_time now{0};
    const auto pick = [&](std::uint64_t usual_one) {
      const std::uint64_t which = random.below(12);
      return which == 0 ? random() : which == 1 ? random.below(2000) : usual_one;
    };
    const auto check = [&](const actions& out) {
      REQUIRE(out.size() <= 3);
      for (const auto& action : out) {
        if (const auto* credit = std::get_if<transfer_credit>(&action)) {
          REQUIRE(credit->next < credit->limit);
          REQUIRE(credit->limit <= credit->next + 4);
          REQUIRE((credit->again >> (credit->limit - credit->next)) == 0);
        }
        if (const auto* v = std::get_if<transfer_verdict>(&action)) rulings.insert(ruling(*v));
      }
      REQUIRE(r.content().empty() == !r.complete());
      REQUIRE(r.content().size() <= 1000);
    };
    const auto seal = [&](auto message) {
      return random.below(10) == 0 ? message : sealed(message);
    };
    for (int i = 0; i < 200; ++i) {
      now += transfer_time(random.below(300'000'000));
      const std::uint64_t id = 1 + random.below(1 + i / 20);
      switch (random.below(8)) {
        case 0: {
          auto o = offer_of(id);
          o.total_bytes = pick(o.total_bytes);
          o.chunk_bytes = static_cast<std::uint32_t>(pick(o.chunk_bytes));
          o.kind = static_cast<std::uint8_t>(pick(o.kind));
          o.codec = static_cast<std::uint8_t>(pick(o.codec));
          o.resume = static_cast<std::uint8_t>(random.below(3));
          o.transfer = random.below(50) == 0 ? random() : id;
          check(r.receive(now, seal(o)));
          break;
        }
        case 1:
          if (random.below(4) == 0) check(r.receive(now, seal(transfer_cancel{id, 0})));
          break;
        case 2:
          if (r.deadline()) check(r.tick(std::max(now, *r.deadline() - 500ms)));
          break;
        case 3:
          if (r.complete()) check(r.release(now));
          break;
        default: {
          auto c = chunk_of(id, static_cast<std::uint32_t>(random.below(10)));
          c.index = static_cast<std::uint32_t>(random.below(30) == 0 ? random() : c.index);
          c.offset = random.below(30) == 0 ? random() : c.offset;
          c.length = static_cast<std::uint32_t>(random.below(30) == 0 ? random() : c.length);
          if (random.below(30) == 0) c.payload.resize(random.below(300));
          check(r.receive(now, seal(c)));
        }
      }
    }
    if (r.complete()) check(r.release(now));
    check(r.receive(now, sealed(offer_of(~0ULL))));
    complete(r, ~0ULL);
  }
  CHECK(rulings.size() >= 8);
}

TEST_CASE("settings that make no sense are refused") {
  const auto with = [](auto change) {
    auto s = usual();
    change(s);
    return s;
  };
  using bad = std::invalid_argument;
  CHECK_THROWS_AS(transfer_receiver(with([](auto& s) { s.window = 0; })), bad);
  CHECK_THROWS_AS(transfer_receiver(with([](auto& s) { s.window = 65; })), bad);
  CHECK_THROWS_AS(transfer_receiver(with([](auto& s) { s.damaged_limit = 0; })), bad);
  CHECK_THROWS_AS(transfer_receiver(with([](auto& s) { s.expected[0].values = 0; })), bad);
  CHECK_THROWS_AS(transfer_receiver(with([](auto& s) { s.expected[0].codecs = {}; })), bad);
  CHECK_THROWS_AS(transfer_receiver(with([](auto& s) { s.timing.stall = 0s; })), bad);
  CHECK_THROWS_AS(transfer_receiver(with([](auto& s) { s.timing.give_up = 7s; })), bad);
}
