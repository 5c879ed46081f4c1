#include "optim/data_parallel.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

#include "config/random.hpp"

using namespace rubato;

namespace {

parameter_layout two_sections() {
  parameter_layout layout;
  layout.add("weight", {5});
  layout.add("running_mean", {2}, section::averaged);
  return layout;
}

buffer_ptr random_buffer(const parameter_layout& layout, std::uint64_t key) {
  random_generator random(1, random_stream::test, {key});
  auto buffer = std::make_shared<parameter_buffer>(layout.size());
  for (const auto& t : layout.tensors()) {
    for (std::size_t i = 0; i < t.size; ++i) {
      buffer->data()[t.offset + i] = static_cast<float>(random.normal());
    }
  }
  return buffer;
}

}  // namespace

TEST_CASE("steps on averaged gradients are the inner optimizer's on the mean gradient") {
  const auto layout = two_sections();
  for (const char* name : {"adamw", "lars"}) {
    CAPTURE(name);
    config::inner_section inner;
    inner.optimizer = name;
    inner.clip = 0.5;  // of the mean, not of each
    data_parallel server(layout, inner);
    const auto reference = make_inner_optimizer(inner, layout);
    inner_state state;

    version_ptr current = random_buffer(layout, 0);
    const std::size_t trainable = layout.end(section::trainable);
    std::vector<float> theta(current->data(), current->data() + trainable);
    for (std::uint64_t step = 1; step <= 20; ++step) {
      const std::vector<merge_input> inputs{{random_buffer(layout, 10 * step), nullptr, 1.0},
                                            {random_buffer(layout, 10 * step + 1), nullptr, 1.0}};
      std::vector<float> mean(trainable);
      for (std::size_t i = 0; i < 5; ++i) {
        mean[i] = static_cast<float>(
            0.5 * (double{inputs[0].delta->data()[i]} + double{inputs[1].delta->data()[i]}));
      }
      const auto next = server.step(*current, inputs, 0.1);
      reference->step(theta, mean, state, 0.1);
      for (std::size_t i = 0; i < 5; ++i) {
        CHECK(next->data()[i] == doctest::Approx(theta[i]).epsilon(1e-5));
      }
      const auto averaged = layout.tensors()[1].offset;
      for (std::size_t i = averaged; i < averaged + 2; ++i) {
        const float half_sum = 0.5F * (inputs[0].delta->data()[i] + inputs[1].delta->data()[i]);
        CHECK(next->data()[i] == doctest::Approx(half_sum));
      }
      current = next;
    }
    CHECK(server.state().steps == 20);
  }
}

TEST_CASE("restored between two steps, data-parallel training goes on bit for bit") {
  const auto layout = two_sections();
  config::inner_section inner;
  inner.optimizer = "adamw";
  data_parallel original(layout, inner);
  auto other = std::make_unique<data_parallel>(layout, inner);
  version_ptr current = random_buffer(layout, 0);
  for (std::uint64_t t = 1; t < 8; ++t) {
    const std::vector<merge_input> inputs{{random_buffer(layout, t), nullptr, 1.0}};
    const auto next = original.step(*current, inputs, 0.1);
    const auto same = other->step(*current, inputs, 0.1);
    CHECK(std::equal(next->span().begin(), next->span().end(), same->span().begin()));
    current = next;
    auto state = copy_of(other->state());
    other = std::make_unique<data_parallel>(layout, inner);
    other->restore(std::move(state));
  }
}

TEST_CASE("a step without gradients, or with one of another size, is refused") {
  const auto layout = two_sections();
  data_parallel server(layout, {});
  const auto current = random_buffer(layout, 0);
  CHECK_THROWS_AS(server.step(*current, {}, 0.1), std::invalid_argument);
  const std::vector<merge_input> wrong{{std::make_shared<parameter_buffer>(3), nullptr, 1.0}};
  CHECK_THROWS_AS(server.step(*current, wrong, 0.1), std::invalid_argument);
}

TEST_CASE("a state is copied and averaged buffer by buffer") {
  config::inner_section inner;
  inner.optimizer = "momentum";
  inner.weight_decay = 0.0;
  inner.clip = 0.0;
  parameter_layout layout;
  layout.add("weight", {16});
  const auto optimizer = make_inner_optimizer(inner, layout);
  // The first three elements; the others' gradients are 0.
  const auto gradient = [](float first, float second, float third) {
    std::vector<float> g(16);
    g[0] = first;
    g[1] = second;
    g[2] = third;
    return g;
  };
  inner_state a, b;
  std::vector<float> theta(16);
  optimizer->step(theta, gradient(1, 2, 3), a, 0.1);
  optimizer->step(theta, gradient(3, 2, 1), b, 0.1);
  optimizer->step(theta, gradient(0, 0, 0), b, 0.1);  // momentum 0.9 of {3, 2, 1}

  auto copy = copy_of(a);
  optimizer->step(theta, gradient(1, 1, 1), copy, 0.1);
  CHECK(a.steps == 1);
  CHECK(copy.steps == 2);
  CHECK(a.buffers[0]->data()[0] == 1.0F);

  const inner_state fresh;
  const inner_state* states[] = {&a, &b, &fresh};
  const auto mean = mean_of(states);
  CHECK(mean.steps == 2);
  REQUIRE(mean.buffers.size() == 1);
  CHECK(mean.buffers[0]->data()[0] == doctest::Approx((1.0 + 2.7) / 3.0));
  CHECK(mean.buffers[0]->data()[2] == doctest::Approx((3.0 + 0.9) / 3.0));
  CHECK_THROWS_AS(mean_of({}), std::invalid_argument);
}
