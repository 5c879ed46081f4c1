#include "network/liveness.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace rubato;
using namespace std::chrono_literals;

namespace {

const liveness::setting usual{.interval = 1s, .floor = 5s, .work_floor = 20s, .tolerance = 10.0};

/// Signs of life with these gaps between them, from `now` on.
link_time listen(liveness& end, link_time now, const std::vector<std::chrono::nanoseconds>& gaps,
                 int times) {
  for (int i = 0; i < times; ++i) {
    for (const auto gap : gaps) {
      now += gap;
      end.tick(now);
      end.heard(now, {});
    }
  }
  return now;
}

}  // namespace

TEST_CASE("the expected gap is the median plus a multiple of the median deviation") {
  rhythm beats;
  CHECK(beats.expected(10.0) == 0s);
  for (const auto gap : {10s, 12s, 11s, 14s, 100s}) beats.observe(gap);
  // Median 12; deviations 2, 0, 1, 2, 88, of which 2 is the median.
  CHECK(beats.expected(10.0) == 32s);
  CHECK(beats.expected(0.0) == 12s);
  CHECK_FALSE(beats.known());
}

TEST_CASE("old gaps are forgotten") {
  rhythm beats;
  for (int i = 0; i < 100; ++i) beats.observe(50s);
  for (int i = 0; i < 64; ++i) beats.observe(1s);
  CHECK(beats.expected(10.0) == 1s);
}

TEST_CASE("who is regular counts as gone after the floor, who is not after longer") {
  liveness regular(usual, 0s), irregular(usual, 0s);
  const auto last = listen(regular, 0s, {1s}, 20);
  CHECK(regular.patience() == 5s);
  CHECK_FALSE(regular.verdict(last + 4999ms));
  REQUIRE(regular.verdict(last + 5s));
  CHECK(regular.verdict(last + 5s)->find("nothing was heard of it for 5.0 s") == 0);
  CHECK(regular.verdict(last + 5s)->find("deadline 5.0 s") != std::string::npos);

  // Median 2, deviations 1, 0, 2, 1: half a minute of patience, give or take.
  const auto end = listen(irregular, 0s, {1s, 2s, 4s, 2s, 3s}, 10);
  CHECK(irregular.patience() == 12s);
  CHECK_FALSE(irregular.verdict(end + 11s));
  CHECK(irregular.verdict(end + 12s));
}

TEST_CASE("one long silence that was borne does not change the patience") {
  liveness end(usual, 0s);
  auto now = listen(end, 0s, {1s}, 20);
  now = listen(end, now, {4500ms}, 1);
  CHECK(end.patience() == 5s);
}

TEST_CASE("any message is a sign of life, but only those that are due are a rhythm") {
  liveness end(usual, 0s);
  auto now = listen(end, 0s, {1s}, 20);
  for (int i = 0; i < 1000; ++i) {
    now += 10ms;
    end.heard(now);
  }
  CHECK(end.deadline() == now + 5s);
}

TEST_CASE("a sleep of our own is not held against the other end") {
  liveness end(usual, 0s);
  auto now = listen(end, 0s, {1s}, 20);
  now += 1h;  // suspended: nothing was done in between
  end.tick(now);
  CHECK_FALSE(end.verdict(now));
  CHECK(end.deadline() <= now + 5s);
  CHECK(end.verdict(now + 5s));
}

TEST_CASE("a node that runs rounds without taking steps is stuck, once its pace is known") {
  liveness end(usual, 0s);
  link_time now = 0s;
  work_report work{0, 1};
  const auto hear = [&](bool steps) {
    now += 1s;
    work.steps += steps ? 3 : 0;
    end.tick(now);
    end.heard(now, work);
  };
  for (int i = 0; i < 5; ++i) hear(true);
  CHECK_FALSE(end.work_patience());  // too little is known
  for (int i = 0; i < 200; ++i) hear(false);
  CHECK_FALSE(end.verdict(now));
  for (int i = 0; i < 20; ++i) hear(true);
  REQUIRE(end.work_patience());
  CHECK(*end.work_patience() == 20s);
  for (int i = 0; i < 19; ++i) hear(false);
  CHECK_FALSE(end.verdict(now));
  hear(false);
  REQUIRE(end.verdict(now));
  CHECK(end.verdict(now)->find("it has not taken a step for 20.0 s, though 1 round is running") ==
        0);

  SUBCASE("but not if it has nothing to do") {
    work.running = 0;
    hear(false);
    for (int i = 0; i < 100; ++i) hear(false);
    CHECK_FALSE(end.verdict(now));
    work.running = 2;
    hear(false);
    CHECK_FALSE(end.verdict(now));
  }
}
