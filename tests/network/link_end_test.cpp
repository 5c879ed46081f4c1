// Two ends of a link, on virtual time, with a reliable but slow connection in between.
#include "network/link_end.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <set>
#include <string>

#include "config/random.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t values = 5000;

link_end::setting settings(content_kind takes) {
  link_end::setting s;
  s.sender.chunk_bytes = 2048;
  s.receiver.expected = {{static_cast<std::uint8_t>(takes), values, {codec::f32}}};
  return s;
}

struct message {
  int to;
  link_action what;
};

/// What the ends do is carried out after `delay`; what they announce and get is noted.
struct pair_of_ends {
  pair_of_ends()
      : ends{link_end(settings(content_kind::update), 0s),
             link_end(settings(content_kind::version), 0s)} {}

  void carry_out(int from, const link_actions& actions) {
    for (const auto& action : actions) {
      if (const auto* told = std::get_if<shipping::announce>(&action)) {
        announced[1 - from][told->transfer].insert(told->round);
      } else if (const auto* arrived = std::get_if<cargo_arrived>(&action)) {
        const auto bytes = ends[from].content();
        contents[from].emplace_back(bytes.begin(), bytes.end());
        transfers[from].push_back(arrived->transfer);
        arrived_after[from] = arrived->took;
        if (!cut) carry_out(from, ends[from].release(now));
      } else if (const auto* delivered = std::get_if<cargo_delivered>(&action)) {
        delivered_after[from] = delivered->took;
      } else if (const auto* lost = std::get_if<link_broken>(&action)) {
        broken[from] = lost->reason;
      } else if (!cut) {
        in_flight.emplace(now + delay, message{1 - from, action});
      }
    }
  }

  void deliver(const message& m) {
    auto& end = ends[m.to];
    std::visit(
        [&](const auto& what) {
          using type = std::decay_t<decltype(what)>;
          if constexpr (std::is_same_v<type, sign_due>) {
            carry_out(m.to, end.receive(now, work_report{}));
          } else if constexpr (transfer_message<type>) {
            if constexpr (std::is_same_v<type, transfer_chunk>) chunks += 1;
            carry_out(m.to, end.receive(now, what));
          }
        },
        m.what);
  }

  void run_until(link_time end) {
    while (true) {
      auto next = std::min(ends[0].deadline(), ends[1].deadline());
      if (!in_flight.empty()) next = std::min(next, in_flight.begin()->first);
      if (next > end) break;
      now = std::max(now, next);
      if (!in_flight.empty() && in_flight.begin()->first <= now) {
        const auto m = in_flight.begin()->second;
        in_flight.erase(in_flight.begin());
        deliver(m);
        continue;
      }
      for (int i : {0, 1}) {
        if (ends[i].deadline() <= now) carry_out(i, ends[i].tick(now));
      }
    }
    now = end;
  }

  link_end ends[2];  // 0: the server's, which takes updates; 1: the node's
  std::multimap<link_time, message> in_flight;
  link_time now{0};
  std::chrono::nanoseconds delay = 3ms;
  bool cut = false;
  std::map<std::uint64_t, std::set<update_id>> announced[2];  // to whom
  std::vector<std::vector<std::byte>> contents[2];
  std::vector<std::uint64_t> transfers[2];
  link_time arrived_after[2], delivered_after[2];  // the newest
  std::string broken[2];
  std::size_t chunks = 0;
};

cargo floats(std::uint64_t seed, content_kind kind) {
  auto buffer = std::make_shared<std::vector<float>>(values);
  random_generator random(seed, random_stream::test);
  for (auto& x : *buffer) x = static_cast<float>(random.normal());
  return {buffer, std::as_bytes(std::span<const float>(*buffer)), codec::f32, kind, seed};
}

bool same(byte_span a, byte_span b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

TEST_CASE("contents go both ways at once, each with its rounds") {
  pair_of_ends link;
  const auto version = floats(1, content_kind::version), update = floats(2, content_kind::update);
  const update_id first{0, 1, 0}, second{1, 1, 0}, third{2, 1, 7};
  link.carry_out(0, link.ends[0].ship(link.now, first, version));
  link.carry_out(0, link.ends[0].ship(link.now, second, version));
  link.carry_out(1, link.ends[1].ship(link.now, third, update));
  link.run_until(500ms);
  REQUIRE(link.contents[1].size() == 1);
  REQUIRE(link.contents[0].size() == 1);
  CHECK(same(link.contents[1][0], version.bytes));
  CHECK(same(link.contents[0][0], update.bytes));
  CHECK(link.announced[1][link.transfers[1][0]] == std::set{first, second});
  CHECK(link.announced[0][link.transfers[0][0]] == std::set{third});
  CHECK(link.chunks == 2 * ((values * sizeof(float) + 2047) / 2048));
}

TEST_CASE("both ends say how long a transfer took, waiting for another left out") {
  pair_of_ends link;
  for (std::uint64_t i = 0; i < 2; ++i) {
    link.carry_out(0, link.ends[0].ship(link.now, {0, 1, i}, floats(i, content_kind::version)));
  }
  link.run_until(10s);
  REQUIRE(link.contents[1].size() == 2);
  // A window of 8 chunks at a time, each answered.
  CHECK(link.arrived_after[1] >= 2 * link.delay);
  CHECK(link.arrived_after[1] <= static_cast<int>(link.chunks) * link.delay);
  // To the sender the way of its offer and of the last answer belong to it.
  CHECK(link.delivered_after[0] == link.arrived_after[1] + 2 * link.delay);
}

TEST_CASE("contents follow each other in order, and all arrive") {
  pair_of_ends link;
  for (std::uint64_t i = 0; i < 20; ++i) {
    link.carry_out(0, link.ends[0].ship(link.now, {0, 1, i}, floats(i, content_kind::version)));
  }
  link.run_until(10s);
  REQUIRE(link.contents[1].size() == 20);
  for (std::uint64_t i = 0; i < 20; ++i) {
    CHECK(same(link.contents[1][i], floats(i, content_kind::version).bytes));
    CHECK(link.announced[1][link.transfers[1][i]] == std::set{update_id{0, 1, i}});
  }
  CHECK(link.broken[0] == "");
  CHECK(link.broken[1] == "");
}

TEST_CASE("a content that is not needed any more in mid-way is cancelled, and the next one comes") {
  pair_of_ends link;
  const update_id round{0, 1, 0}, next{0, 1, 1};
  link.carry_out(0, link.ends[0].ship(link.now, round, floats(1, content_kind::version)));
  link.run_until(10ms);
  CHECK(link.chunks > 0);
  link.carry_out(0, link.ends[0].settled(link.now, round));
  const auto version = floats(2, content_kind::version);
  link.carry_out(0, link.ends[0].ship(link.now, next, version));
  link.run_until(1s);
  REQUIRE(link.contents[1].size() == 1);
  CHECK(same(link.contents[1][0], version.bytes));
  CHECK(link.announced[1][link.transfers[1][0]] == std::set{next});
}

TEST_CASE("ends that have nothing to say stay together by signs of life") {
  pair_of_ends link;
  link.run_until(1h);
  CHECK(link.broken[0] == "");
  CHECK(link.broken[1] == "");
}

TEST_CASE("a connection that is silent is given up on both ends after the patience") {
  pair_of_ends link;
  link.run_until(60s);
  link.cut = true;
  link.in_flight.clear();
  link.run_until(64s);
  CHECK(link.broken[0] == "");
  link.run_until(67s);
  CHECK(link.broken[0].find("nothing was heard") == 0);
  CHECK(link.broken[1].find("nothing was heard") == 0);
  link.run_until(100s);  // and nothing more comes of it
}

TEST_CASE("what does not fit the other end breaks the link, not the program") {
  pair_of_ends link;
  auto wrong = floats(1, content_kind::version);
  wrong.bytes = wrong.bytes.first(wrong.bytes.size() / 2);
  link.carry_out(0, link.ends[0].ship(link.now, {0, 1, 0}, wrong));
  link.run_until(1s);
  CHECK(link.broken[0].find("it did not take what was sent: ") == 0);
  CHECK(link.contents[1].empty());
  CHECK(link.ends[0].ship(link.now, {0, 1, 1}, floats(2, content_kind::version)).empty());
}
