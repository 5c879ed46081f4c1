#include "coordination/staleness.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace rubato;

namespace {

config with_weight(const char* weight) {
  config c;
  c.staleness.weight = weight;
  return c;
}

}  // namespace

TEST_CASE("by default an update counts the same however stale it is and however long") {
  const staleness_policy policy{config{}};
  CHECK(policy.weight(0, 50) == 1.0);
  CHECK(policy.weight(1'000'000, 1) == 1.0);
}

TEST_CASE("a polynomial weight falls with a power of 1 + s") {
  auto c = with_weight("polynomial");
  CHECK(staleness_policy(c).weight(0, 1) == 1.0);
  CHECK(staleness_policy(c).weight(3, 1) == 0.5);
  CHECK(*staleness_policy(c).weight(9, 1) == doctest::Approx(1.0 / std::sqrt(10.0)));
  c.staleness.exponent = 1.0;
  CHECK(*staleness_policy(c).weight(9, 1) == doctest::Approx(0.1));
  c.staleness.exponent = 0.0;
  CHECK(staleness_policy(c).weight(9, 1) == 1.0);
}

TEST_CASE("a hinge weight is whole up to its start, then falls") {
  const staleness_policy policy(with_weight("hinge"));
  CHECK(policy.weight(4, 1) == 1.0);
  CHECK(*policy.weight(5, 1) == doctest::Approx(1.0 / 11.0));
  CHECK(*policy.weight(14, 1) == doctest::Approx(1.0 / 101.0));
}

TEST_CASE("what is staler than the limit is dropped (PolyThres: 10 stays, 11 goes)") {
  auto c = with_weight("polynomial");
  c.staleness.limit = 10;
  CHECK(staleness_policy(c).weight(10, 1).has_value());
  CHECK_FALSE(staleness_policy(c).weight(11, 1).has_value());
  c.staleness.limit = 0;
  CHECK(staleness_policy(c).weight(0, 1).has_value());
  CHECK_FALSE(staleness_policy(c).weight(1, 1).has_value());
}

TEST_CASE("the soup weight scales asynchronous updates only") {
  auto c = with_weight("polynomial");
  c.staleness.scale = 0.5;
  CHECK(staleness_policy(c).weight(3, 1) == 0.25);
  c.outer.mode = "sync";
  CHECK(staleness_policy(c).weight(3, 1) == 0.5);
}

TEST_CASE("weighting by tokens counts steps in units of a full round") {
  config c;
  c.quota.local_steps = 50;
  c.outer.weighting = "tokens";
  CHECK(staleness_policy(c).weight(0, 50) == 1.0);
  CHECK(staleness_policy(c).weight(0, 8) == 0.16);
}
