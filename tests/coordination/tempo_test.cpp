#include "coordination/tempo.hpp"

#include <doctest/doctest.h>

using namespace rubato;
using namespace std::chrono_literals;

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
  CHECK(t.round({0, 1, 0}, 50, 0, 0).compute == 29s);
  CHECK(t.round({1, 1, 0}, 38, 0, 0).compute == 28500ms);
  CHECK(t.round({2, 1, 0}, 19, 0, 0).compute == 28690ms);
  CHECK(t.round({3, 1, 0}, 8, 0, 0).compute == 26640ms);
}

TEST_CASE("a transfer takes the latency and the bytes over the bandwidth of the worker's link") {
  config c;
  c.network.latency_seconds = {0.25};
  c.network.bandwidth_mbit = {8.0, 0.0, 80.0, 800.0};
  const tempo t(c);
  const auto slow = t.round({0, 1, 0}, 1, 1'000'000, 500'000);
  CHECK(slow.download == 1250ms);
  CHECK(slow.upload == 750ms);
  CHECK(slow.total() == 1250ms + 580ms + 750ms);
  CHECK(t.round({1, 1, 0}, 1, 1'000'000, 1'000'000).download == 250ms);
  CHECK(t.round({3, 1, 0}, 1, 1'000'000, 1'000'000).upload == 260ms);
}

TEST_CASE("jitter has mean one and depends on seed, worker and round alone") {
  config c;
  c.workers.jitter = 0.3;
  const tempo t(c);
  const tempo again(c);
  double sum = 0.0;
  bool varies = false;
  for (std::uint64_t round = 0; round < 4000; ++round) {
    const auto compute = t.round({0, 1, round}, 100, 0, 0).compute;
    CHECK(compute == again.round({0, 1, round}, 100, 0, 0).compute);
    varies = varies || compute != 58s;
    sum += to_seconds(compute) / 58.0;
  }
  CHECK(varies);
  CHECK(sum / 4000 == doctest::Approx(1.0).epsilon(0.02));
  c.run.seed = 2;
  CHECK(tempo(c).round({0, 1, 0}, 100, 0, 0).compute != t.round({0, 1, 0}, 100, 0, 0).compute);
}
