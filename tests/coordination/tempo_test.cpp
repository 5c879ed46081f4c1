#include "coordination/tempo.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace rubato;
using namespace std::chrono_literals;

namespace {

/// Two workers at 1 and 2 seconds a step, and what happens to them.
tempo two_workers(std::vector<std::string> events) {
  config c;
  c.workers.count = 2;
  c.workers.seconds_per_step = {1.0, 2.0};
  c.workers.events = std::move(events);
  return tempo(c);
}

run_time compute(const tempo& t, worker_id worker, std::uint32_t steps, run_time at) {
  return t.round({worker, 1, 0}, steps, at, 0, 0).compute;
}

using kind = worker_change::kind;
using changes = std::vector<worker_change>;

}  // namespace

TEST_CASE("presets give each worker a pace, repeated for more workers") {
  config c;
  c.workers.count = 6;
  c.workers.heterogeneity = "very";
  CHECK(seconds_per_step(c.workers) == std::vector<double>{0.58, 0.75, 1.51, 3.33, 0.58, 0.75});
  c.workers.heterogeneity = "none";
  CHECK(seconds_per_step(c.workers) == std::vector<double>(6, 0.75));
  c.workers.count = 2;
  c.workers.seconds_per_step = {3.0, 4.0};
  CHECK(seconds_per_step(c.workers) == std::vector<double>{3.0, 4.0});
}

TEST_CASE("a step's time is rounded once, so that fifty steps of 0.58 s are 29 s exactly") {
  config c;
  const tempo t(c);
  CHECK(t.round({0, 1, 0}, 50, 0s, 0, 0).compute == 29s);
  CHECK(t.round({1, 1, 0}, 38, 0s, 0, 0).compute == 28500ms);
  CHECK(t.round({2, 1, 0}, 19, 0s, 0, 0).compute == 28690ms);
  CHECK(t.round({3, 1, 0}, 8, 0s, 0, 0).compute == 26640ms);
}

TEST_CASE("a transfer takes the latency and the bytes over the bandwidth of the worker's link") {
  config c;
  c.network.latency_seconds = {0.25};
  c.network.bandwidth_mbit = {8.0, 0.0, 80.0, 800.0};
  const tempo t(c);
  const auto slow = t.round({0, 1, 0}, 1, 0s, 1'000'000, 500'000);
  CHECK(slow.download == 1250ms);
  CHECK(slow.upload == 750ms);
  CHECK(slow.total() == 1250ms + 580ms + 750ms);
  CHECK(t.round({1, 1, 0}, 1, 0s, 1'000'000, 1'000'000).download == 250ms);
  CHECK(t.round({3, 1, 0}, 1, 0s, 1'000'000, 1'000'000).upload == 260ms);
}

TEST_CASE("jitter has mean one and depends on seed, worker and round alone") {
  config c;
  c.workers.jitter = 0.3;
  const tempo t(c);
  const tempo again(c);
  double sum = 0.0;
  bool varies = false;
  for (std::uint64_t round = 0; round < 4000; ++round) {
    const auto compute = t.round({0, 1, round}, 100, 0s, 0, 0).compute;
    CHECK(compute == again.round({0, 1, round}, 100, 0s, 0, 0).compute);
    varies = varies || compute != 58s;
    sum += to_seconds(compute) / 58.0;
  }
  CHECK(varies);
  CHECK(sum / 4000 == doctest::Approx(1.0).epsilon(0.02));
  c.run.seed = 2;
  CHECK(tempo(c).round({0, 1, 0}, 100, 0s, 0, 0).compute !=
        t.round({0, 1, 0}, 100, 0s, 0, 0).compute);
}

TEST_CASE("a pace that changes in mid-round changes the time of the steps that are left") {
  const auto t = two_workers({"10 0 pace 3"});
  CHECK(compute(t, 0, 8, 0s) == 8s);
  CHECK(compute(t, 0, 10, 0s) == 10s);
  CHECK(compute(t, 0, 12, 0s) == 10s + 2 * 3s);
  CHECK(compute(t, 0, 4, 10s) == 12s);
  CHECK(compute(t, 1, 12, 0s) == 24s);
  CHECK(t.pace(0, 10s - 1ns) == 1s);
  CHECK(t.pace(0, 10s) == 3s);
  CHECK(t.changes() == changes{{10s, kind::pace, 0}});
}

TEST_CASE("the transfer before a round's steps moves them on, with its changes of pace") {
  config c;
  c.workers.count = 1;
  c.workers.seconds_per_step = {1.0};
  c.workers.events = {"10 0 pace 3"};
  c.network.latency_seconds = {4.0};
  const auto timing = tempo(c).round({0, 1, 0}, 8, 0s, 0, 0);
  CHECK(timing.download == 4s);
  CHECK(timing.compute == 6s + 2 * 3s);
}

TEST_CASE("a slow-down multiplies the pace while it lasts; several multiply each other") {
  const auto t = two_workers({"10 0 slow-down 4 20", "20 all slow-down 0.5 20"});
  CHECK(t.pace(0, 10s) == 4s);
  CHECK(t.pace(0, 20s) == 2s);
  CHECK(t.pace(0, 30s) == 500ms);
  CHECK(t.pace(0, 40s) == 1s);
  CHECK(t.pace(1, 20s) == 1s);
  CHECK(compute(t, 0, 10 + 2 + 5 + 20 + 7, 0s) == 46500ms);
  CHECK(t.changes() == changes{{10s, kind::pace, 0},
                               {20s, kind::pace, 0},
                               {20s, kind::pace, 1},
                               {30s, kind::pace, 0},
                               {40s, kind::pace, 0},
                               {40s, kind::pace, 1}});
  CHECK(two_workers({"10 0 slow-down 4"}).pace(0, 1000000s) == 4s);
}

TEST_CASE("a pause prolongs a round by its length, whatever else changes meanwhile") {
  const auto t = two_workers({"10 0 pause 5"});
  CHECK(compute(t, 0, 10, 0s) == 10s);
  CHECK(compute(t, 0, 12, 0s) == 17s);
  CHECK(compute(t, 0, 2, 12s) == 3s + 2s);
  CHECK(t.pace(0, 12s) == 0s);
  CHECK(t.moving_pace(0, 12s) == 1s);

  const auto both = two_workers({"10 0 pause 5", "12 0 pace 2"});
  CHECK(compute(both, 0, 12, 0s) == 10s + 5s + 2 * 2s);
  CHECK(both.moving_pace(0, 11s) == 2s);
  const auto twice = two_workers({"10 0 pause 5", "12 0 pause 8"});
  CHECK(compute(twice, 0, 12, 0s) == 10s + 10s + 2s);
}

TEST_CASE("who leaves is away until the last reason to be so has ended") {
  const auto t = two_workers({"10 all leave 5", "12 1 leave 10", "30 0 leave"});
  CHECK(t.changes() == changes{{10s, kind::leave, 0},
                               {10s, kind::leave, 1},
                               {15s, kind::join, 0},
                               {22s, kind::join, 1},
                               {30s, kind::leave, 0}});
}

TEST_CASE("a worker that is away has no changes of pace, but comes back with the right one") {
  const auto t = two_workers({"10 0 leave 10", "15 0 pace 7"});
  CHECK(t.changes() == changes{{10s, kind::leave, 0}, {20s, kind::join, 0}});
  CHECK(t.pace(0, 20s) == 7s);
}

TEST_CASE("an event at the very start is how things are from the start") {
  const auto t = two_workers({"0 0 pace 5", "0 1 leave"});
  CHECK(t.pace(0, 0s) == 5s);
  CHECK(t.changes() == changes{{0s, kind::leave, 1}});
}

TEST_CASE("a round in many pieces takes what its steps take, to the nanosecond") {
  std::vector<std::string> events;
  run_time expected{0};
  for (int i = 0; i < 50; ++i) {
    // Ten steps at each pace in turn.
    const int pace = 1 + i % 3;
    events.push_back(std::to_string(expected.count() / 1'000'000'000) + " 0 pace " +
                     std::to_string(pace));
    expected += 10s * pace;
  }
  CHECK(compute(two_workers(events), 0, 500, 0s) == expected);
}

TEST_CASE("where nothing is simulated, a round takes no time that is known beforehand") {
  config c;
  c.clock.mode = "wall";
  c.workers.events = {"10 0 leave 5"};
  const tempo real(c);
  CHECK(real.round({0, 1, 0}, 50, 0s, 1000, 1000) == round_timing{});
  CHECK(real.changes().size() == 2);
  c.workers.throttle = true;
  CHECK(tempo(c).round({0, 1, 0}, 50, 0s, 1000, 1000).compute == 29s);
}

TEST_CASE("a round after another begins when that is computed, and is sent when that is") {
  config c;
  c.workers.count = 1;
  c.workers.seconds_per_step = {1.0};
  c.network.latency_seconds = {3.0};
  const tempo t(c);
  assignment first;
  first.id = {0, 1, 0};
  first.steps = 10;
  first.timing = t.round(first.id, 10, 0s, 0, 0);
  CHECK(first.begun() == 3s);
  CHECK(first.computed() == 13s);
  CHECK(first.due() == 16s);
  const auto after = [&](run_time at, std::uint32_t steps) {
    assignment next;
    next.id = {0, 1, 1};
    next.assigned_at = at;
    next.timing = t.round(next.id, steps, at, 0, 0, &first);
    return next;
  };
  CHECK(after(2s, 5).begun() == 13s);
  CHECK(after(2s, 5).computed() == 18s);
  CHECK(after(2s, 5).due() == 21s);
  CHECK(after(11s, 5).begun() == 14s);  // only then it is there
  CHECK(after(2s, 1).computed() == 14s);
  CHECK(after(2s, 1).due() == 19s);  // the link is busy until 16 s
}

TEST_CASE("what gets to a worker is seen between two steps") {
  config c;
  c.workers.count = 1;
  c.workers.seconds_per_step = {1.0};
  c.workers.events = {"15 0 pace 3"};
  const tempo t(c);
  assignment work;
  work.id = {0, 1, 0};
  work.steps = 8;
  work.assigned_at = 10s;
  work.timing = t.round(work.id, 8, 10s, 0, 0);
  CHECK(work.computed() == 15s + 9s);
  CHECK(t.steps_before(work, 9s) == 0);
  CHECK(t.steps_before(work, 10s) == 0);
  CHECK(t.steps_before(work, 10s + 1ns) == 1);
  CHECK(t.steps_before(work, 11s) == 1);
  CHECK(t.steps_before(work, 15s) == 5);
  CHECK(t.steps_before(work, 15s + 1ns) == 6);
  CHECK(t.steps_before(work, 18s) == 6);
  CHECK(t.steps_before(work, 24s) == 8);
  CHECK(!t.steps_before(work, 24s + 1ns));
  c.clock.mode = "wall";
  c.workers.events = {};
  CHECK(!tempo(c).steps_before(work, 11s));
}
