#include "coordination/quota.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "coordination/tempo.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

config dylu(std::int64_t local_steps, const char* speeds = "given") {
  config c;
  c.quota.policy = "dylu";
  c.quota.local_steps = local_steps;
  c.quota.speeds = speeds;
  return c;
}

std::vector<std::uint32_t> quotas(const quota_policy& policy, worker_id workers) {
  std::vector<std::uint32_t> result;
  for (worker_id w = 0; w < workers; ++w) result.push_back(policy.steps(w));
  return result;
}

quota_policy with_very_different_workers(const config& c) {
  const tempo paces(c);
  quota_policy policy(c);
  for (worker_id w = 0; w < 4; ++w) policy.add(w, paces.pace(w, 0s));
  return policy;
}

}  // namespace

TEST_CASE("DyLU gives steps in proportion to speed (Eq 6, the values of the toy's paces)") {
  CHECK(quotas(with_very_different_workers(dylu(50)), 4) ==
        std::vector<std::uint32_t>{50, 38, 19, 8});
  CHECK(quotas(with_very_different_workers(dylu(20)), 4) ==
        std::vector<std::uint32_t>{20, 15, 7, 3});
}

TEST_CASE("a fixed quota is the same for all") {
  config c;
  c.quota.policy = "fixed";
  c.quota.local_steps = 17;
  CHECK(quotas(with_very_different_workers(c), 4) == std::vector<std::uint32_t>{17, 17, 17, 17});
}

TEST_CASE("a quota is at least one step, however slow the worker") {
  quota_policy policy(dylu(10));
  policy.add(0, 1ms);
  policy.add(1, 1h);
  CHECK(policy.steps(1) == 1);
}

TEST_CASE("when the fastest worker leaves, the next one sets the measure") {
  quota_policy policy(dylu(50));
  policy.add(0, 1s);
  policy.add(1, 2s);
  policy.add(2, 4s);
  CHECK(quotas(policy, 3) == std::vector<std::uint32_t>{50, 25, 12});
  policy.remove(0);
  CHECK(policy.steps(1) == 50);
  CHECK(policy.steps(2) == 25);
}

TEST_CASE("a worker of unknown speed gets a few probe steps, then what its speed deserves") {
  quota_policy policy(dylu(50, "measured"));
  policy.add(0, 1s);  // not to be used: speeds are measured
  policy.add(1, 1s);
  CHECK(quotas(policy, 2) == std::vector<std::uint32_t>{5, 5});
  policy.observe(0, 5, 5s);
  policy.observe(1, 5, 10s);
  CHECK(quotas(policy, 2) == std::vector<std::uint32_t>{50, 25});
  quota_policy short_rounds(dylu(3, "measured"));
  short_rounds.add(0, 1s);
  CHECK(short_rounds.steps(0) == 3);
}

TEST_CASE("a measured pace follows a change within a few rounds and keeps a constant one exactly") {
  quota_policy policy(dylu(50, "measured"));
  policy.add(0, 0s);
  policy.add(1, 0s);
  for (int i = 0; i < 20; ++i) {
    policy.observe(0, 50, 50 * 580ms);
    policy.observe(1, 38, 38 * 750ms);
    CHECK(policy.steps(0) == 50);
    CHECK(policy.steps(1) == 38);
  }
  for (int i = 0; i < 12; ++i) policy.observe(1, 38, 38 * 1500ms);
  CHECK(policy.steps(1) == 19);
}

TEST_CASE("the fastest worker always gets H steps, whatever its measured pace rounds to") {
  for (std::int64_t nanoseconds = 1; nanoseconds < 3'000'000'000; nanoseconds += 7'654'321) {
    quota_policy policy(dylu(50, "measured"));
    policy.add(0, 0s);
    policy.observe(0, 3, run_time(nanoseconds));
    CHECK(policy.steps(0) == 50);
  }
}

TEST_CASE("a given pace that changes counts at once, for a worker that takes part") {
  quota_policy policy(dylu(50));
  policy.add(0, 1s);
  policy.add(1, 2s);
  policy.change(1, 4s);
  CHECK(policy.steps(1) == 12);
  policy.change(0, 8s);
  CHECK(quotas(policy, 2) == std::vector<std::uint32_t>{25, 50});
  policy.remove(1);
  policy.change(1, 1ms);
  CHECK(policy.steps(0) == 50);
}

TEST_CASE(
    "speeds are given on the virtual clock and measured on the wall clock, unless asked for") {
  config c = dylu(50, "auto");
  const auto first_quota = [&c] {
    quota_policy policy(c);
    policy.add(0, 1s);
    return policy.steps(0);
  };
  CHECK(first_quota() == 50);
  c.clock.mode = "wall";
  CHECK(first_quota() == 5);
  c.quota.speeds = "given";
  CHECK(first_quota() == 50);
}
