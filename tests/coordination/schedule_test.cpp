#include "coordination/schedule.hpp"

#include <doctest/doctest.h>

using namespace rubato;

namespace {

config::inner_section rates() {
  config::inner_section inner;
  inner.lr = 1.0;
  inner.final_lr = 0.2;
  inner.warmup_steps = 10;
  return inner;
}

}  // namespace

TEST_CASE("the learning rate rises linearly, peaks at the end of warm-up and ends at final_lr") {
  const auto inner = rates();
  const rate_span span{.start = 0, .total = 110, .warmup = 10};
  CHECK(learning_rate(inner, span, 0) == doctest::Approx(0.1));
  CHECK(learning_rate(inner, span, 4) == doctest::Approx(0.5));
  CHECK(learning_rate(inner, span, 9) == 1.0);                     // t = warmup
  CHECK(learning_rate(inner, span, 59) == doctest::Approx(0.6));   // half-way: the mean
  CHECK(learning_rate(inner, span, 109) == doctest::Approx(0.2));  // t = total
}

TEST_CASE("beyond its end a schedule stays at final_lr") {
  const auto inner = rates();
  const rate_span span{.start = 100, .total = 110, .warmup = 10};
  CHECK(learning_rate(inner, span, 10) == doctest::Approx(0.2));
  CHECK(learning_rate(inner, span, 10'000) == doctest::Approx(0.2));
}

TEST_CASE("a span goes on where the one before it ended") {
  const auto inner = rates();
  const rate_span whole{.start = 0, .total = 110, .warmup = 10};
  const rate_span later{.start = 37, .total = 110, .warmup = 10};
  for (int step = 0; step < 70; ++step) {
    CHECK(learning_rate(inner, later, step) == learning_rate(inner, whole, 37 + step));
  }
}

TEST_CASE("a schedule is the shard's share of the budget, with at most a tenth of warm-up") {
  auto inner = rates();
  CHECK(make_schedule(inner, 4000, 0.25) == rate_span{.start = 0, .total = 1000, .warmup = 10});
  inner.warmup_steps = 500;
  CHECK(make_schedule(inner, 4000, 0.25) == rate_span{.start = 0, .total = 1000, .warmup = 100});
  CHECK(make_schedule(inner, 3, 0.01).total == 1);
}

TEST_CASE("a schedule without warm-up starts just below the peak and never divides by zero") {
  auto inner = rates();
  inner.warmup_steps = 0;
  const auto span = make_schedule(inner, 1, 1.0);
  CHECK(learning_rate(inner, span, 0) == doctest::Approx(0.2));
  CHECK(learning_rate(inner, {.start = 0, .total = 1000, .warmup = 0}, 0) ==
        doctest::Approx(1.0).epsilon(1e-4));
}

TEST_CASE(
    "the notebook's schedule is a step behind, and each round's first step at the full rate") {
  config::inner_section inner;
  inner.lr = 2e-4;
  inner.final_lr = 1e-6;
  rate_span span;
  span.start = 40;
  span.total = 100;
  const double usual = learning_rate(inner, span, 2);
  inner.schedule = "notebook";
  CHECK(learning_rate(inner, span, 3) == usual);
  CHECK(learning_rate(inner, span, 0) == 2e-4);
  CHECK(learning_rate(inner, span, 1) < 2e-4);
}

TEST_CASE("steps down: each milestone is the last step before the rate falls by the factor") {
  auto inner = rates();
  inner.schedule = "step";
  inner.warmup_steps = 5 * 1252;  // epochs of ImageNet in batches of 1024
  const auto span = make_schedule(inner, 8 * 90 * 1252, 1.0 / 8.0);
  REQUIRE(span == rate_span{.start = 0, .total = 90 * 1252, .warmup = 5 * 1252});
  const auto rate_of = [&](std::int64_t t) { return learning_rate(inner, span, t - 1); };
  CHECK(rate_of(1) == doctest::Approx(1.0 / 6260.0));
  CHECK(rate_of(3130) == doctest::Approx(0.5));
  CHECK(rate_of(6260) == 1.0);
  CHECK(rate_of(30 * 1252) == 1.0);
  CHECK(rate_of(30 * 1252 + 1) == 0.1);
  CHECK(rate_of(60 * 1252) == 0.1);
  CHECK(rate_of(60 * 1252 + 1) == doctest::Approx(0.01));
  CHECK(rate_of(80 * 1252) == doctest::Approx(0.01));
  CHECK(rate_of(80 * 1252 + 1) == doctest::Approx(0.001));
  CHECK(rate_of(90 * 1252) == doctest::Approx(0.001));
  CHECK(rate_of(1'000'000) == doctest::Approx(0.001));
}

TEST_CASE("milestones and their factor are free, down to none at all") {
  auto inner = rates();
  inner.schedule = "step";
  inner.milestones = {0.5};
  inner.decay_factor = 0.25;
  rate_span span{.start = 3, .total = 7, .warmup = 0};
  CHECK(learning_rate(inner, span, 0) == 1.0);  // t = 4, half of 7 rounded
  CHECK(learning_rate(inner, span, 1) == 0.25);
  inner.milestones.clear();
  CHECK(learning_rate(inner, span, 1'000) == 1.0);
}

TEST_CASE("a milestone within warm-up counts when warm-up is over") {
  auto inner = rates();
  inner.schedule = "step";
  inner.milestones = {0.05};
  const rate_span span{.start = 0, .total = 100, .warmup = 10};
  CHECK(learning_rate(inner, span, 8) == doctest::Approx(0.9));
  CHECK(learning_rate(inner, span, 9) == doctest::Approx(0.1));
}
