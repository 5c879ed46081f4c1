// One round by itself: the proximal term, and what becomes of averaged and local tensors.
#include "model/local_round.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "tests/actors/fake_parts.hpp"

using namespace rubato;

namespace {

struct fixture {
  fixture() {
    c.inner.optimizer = "sgd";
    c.inner.lr = c.inner.final_lr = 0.1;
    c.inner.warmup_steps = 0;
    c.inner.weight_decay = 0.0;
    c.inner.clip = 0.0;
  }

  local_round make_round() const {
    auto model = std::make_unique<fake::counter>();
    auto pool = std::make_shared<buffer_pool>(model->layout().size());
    return {c, std::move(model), pool};
  }

  /// A round of that many steps; every batch is alike to the learner.
  static local_round::result run(local_round& round, const version_ptr& base,
                                 const std::shared_ptr<inner_state>& inner, std::uint32_t steps) {
    assignment work;
    work.steps = steps;
    round.begin(work, base, inner);
    while (!round.done()) round.step(batch{});
    return round.finish();
  }

  version_ptr version(float weight, float averaged, float local) const {
    auto buffer = std::make_shared<parameter_buffer>(fake::counter{}.layout().size());
    buffer->data()[0] = weight;
    buffer->data()[fake::counter::averaged_at] = averaged;
    buffer->data()[fake::counter::local_at] = local;
    return buffer;
  }

  config c;
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "the proximal term pulls each step back to where the round began") {
  // The learner's loss is (x - 10)^2 / 2, so x' = x - lr (x - 10 + rho (x - x_0)): a geometric
  // approach to (10 + rho x_0) / (1 + rho).
  for (const double rho : {0.0, 0.5, 3.0}) {
    c.inner.proximal = rho;
    auto round = make_round();
    const double start = 2.0;
    const auto result = run(round, version(2.0F, 0, 0), std::make_shared<inner_state>(), 25);
    const double limit = (10.0 + rho * start) / (1.0 + rho);
    const double end = limit + std::pow(1.0 - 0.1 * (1.0 + rho), 25) * (start - limit);
    CHECK(result.delta->data()[0] == doctest::Approx(start - end).epsilon(1e-5));
    CHECK(result.update.norm == doctest::Approx(end - start).epsilon(1e-5));
  }
}

TEST_CASE_FIXTURE(fixture,
                  "the proximal term is clipped with the gradient, and no part of the loss") {
  c.inner.proximal = 100.0;
  c.inner.clip = 1.0;
  auto round = make_round();
  // Step 1: -10 is clipped to -1, to 0.1. Step 2: -9.9 + 10 is not clipped, to 0.09.
  const auto result = run(round, version(0, 0, 0), std::make_shared<inner_state>(), 2);
  CHECK(-result.delta->data()[0] == doctest::Approx(0.09).epsilon(1e-4));
  CHECK(result.update.loss == doctest::Approx((50.0 + 9.9 * 9.9 / 2.0) / 2.0));
}

TEST_CASE_FIXTURE(fixture, "an update has what averaged tensors ended with, and no local ones") {
  auto round = make_round();
  const auto inner = std::make_shared<inner_state>();
  const auto result = run(round, version(0, 100, 7), inner, 5);
  CHECK(result.delta->data()[fake::counter::averaged_at] == 105.0F);
  CHECK(result.delta->data()[fake::counter::local_at] == 0.0F);
  CHECK(result.update.elements == 2);
  CHECK(result.update.norm == doctest::Approx(std::abs(result.delta->data()[0])));
  assignment work;
  work.steps = 1;
  work.kind = round_kind::gradient;
  round.begin(work, version(0, 100, 7), inner);
  round.step(batch{});
  const auto gradient = round.finish();
  CHECK(gradient.delta->data()[0] == -10.0F);
  CHECK(gradient.delta->data()[fake::counter::averaged_at] == 101.0F);
}

TEST_CASE_FIXTURE(fixture, "local tensors are the worker's, whichever lane its rounds are on") {
  auto lane = make_round();
  auto other_lane = make_round();
  const auto a = std::make_shared<inner_state>();
  const auto b = std::make_shared<inner_state>();
  run(lane, version(0, 0, 7), a, 5);
  run(lane, version(0, 0, 20), b, 1);
  run(other_lane, version(0, 0, 30), a, 2);
  CHECK(a->local->data()[0] == 14.0F);
  CHECK(b->local->data()[0] == 21.0F);
  // Copies of a state have its local tensors, means of several workers have none.
  CHECK(copy_of(*a).local->data()[0] == 14.0F);
  const inner_state* both[] = {a.get(), b.get()};
  CHECK(mean_of(both).local == nullptr);
}
