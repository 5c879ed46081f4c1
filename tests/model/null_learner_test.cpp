#include "model/null_learner.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "model/local_round.hpp"

using namespace rubato;

namespace {

config small(double step_seconds) {
  config c;
  c.model.kind = "null";
  c.data.kind = "gaussian-mixtures";
  c.clock.mode = step_seconds > 0 ? "wall" : "virtual";
  c.model.parameters = 10'000;
  c.model.step_seconds = step_seconds;
  return c;
}

batch points(float first) {
  batch b;
  b.examples = 2;
  b.length = 1;
  b.features = {first, 2.0F};
  b.labels = {0, 1};
  return b;
}

std::vector<float> values_of(learner& model) {
  const auto values = model.parameters();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE(
    "a step of the null learner moves a slice by a hundredth, which the batch alone chooses") {
  const auto c = small(0.0);
  const auto model = make_learner_factory(c, {.features = 1, .classes = 2})();
  REQUIRE(model->layout().count(section::trainable) == 10'000);
  initialize_parameters(c, *model);
  const auto before = values_of(*model);
  CHECK(*std::max_element(before.begin(), before.end()) <= 1.0F);
  CHECK(*std::min_element(before.begin(), before.end()) >= -1.0F);
  const double loss = model->compute_gradient(points(1.0F));
  const auto after = values_of(*model);
  std::size_t moved = 0;
  double sum = 0.0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (after[i] == before[i]) continue;
    moved += 1;
    sum += static_cast<double>(before[i]) * static_cast<double>(before[i]);
    CHECK(after[i] == before[i] * 0.99F);
  }
  CHECK(moved == 4096);
  CHECK(loss == doctest::Approx(sum / 4096));

  const auto again = make_null_learner(c);
  initialize_parameters(c, *again);
  again->compute_gradient(points(1.0F));
  CHECK(values_of(*again) == after);
  again->compute_gradient(points(3.0F));
  model->compute_gradient(points(1.0F));
  CHECK(values_of(*again) != values_of(*model));
}

TEST_CASE(
    "the null learner's evaluation is the mean square of its first values, and moves nothing") {
  auto c = small(0.0);
  const auto model = make_null_learner(c);
  const auto values = model->parameters();
  std::fill(values.begin(), values.end(), 3.0F);
  values[5000] = 100.0F;
  const auto sums = model->evaluate(points(1.0F));
  CHECK(sums.targets == 2);
  CHECK(sums.loss == 18.0);
  CHECK(sums.correct == 0);
  CHECK(values[0] == 3.0F);
}

TEST_CASE("a round of the null learner takes as long as its steps should, and no inner optimizer") {
  auto c = small(0.002);
  c.inner.weight_decay = 0.5;
  const auto make = make_learner_factory(c, {.features = 1, .classes = 2});
  auto model = make();
  const auto size = model->layout().size();
  local_round round(c, std::move(model), std::make_shared<buffer_pool>(size));
  auto base = std::make_shared<parameter_buffer>(size);
  std::fill_n(base->data(), 10'000, 1.0F);
  assignment work;
  work.steps = 20;
  round.begin(work, base, std::make_shared<inner_state>());
  const auto begun = std::chrono::steady_clock::now();
  while (!round.done()) round.step(points(1.0F));
  CHECK(std::chrono::steady_clock::now() - begun >= std::chrono::milliseconds(40));
  const auto result = round.finish();
  CHECK(result.update.finite);
  CHECK(std::count_if(result.delta->data(), result.delta->data() + 10'000,
                      [](float x) { return x != 0.0F; }) == 4096);
}
