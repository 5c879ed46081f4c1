// Inner optimizers against LibTorch's, which run in double precision on the same gradients.
#include <torch/torch.h>
// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "optim/inner_optimizer.hpp"

using namespace rubato;

namespace {

constexpr std::size_t size = 1003;  // no multiple of any vector length
constexpr int steps = 50;

using torch_optimizer =
    std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<torch::Tensor>)>;

std::vector<float> random_values(random_generator& random, double deviation) {
  std::vector<float> values(size);
  for (float& x : values) x = static_cast<float>(deviation * random.normal());
  return values;
}

double rate_at(int step) {
  return 0.05 * (1.0 - static_cast<double>(step) / (2 * steps));
}

torch::Tensor to_double(std::span<float> values) {
  return torch::from_blob(values.data(), {static_cast<std::int64_t>(values.size())})
      .to(torch::kDouble);
}

/// Runs both on one stream of gradients. The oracle sees the flat buffer as two tensors, so that
/// a norm that is not global would show. Returns |ours - oracle| / |oracle|.
double relative_error(const config::inner_section& inner, const torch_optimizer& make_oracle) {
  constexpr std::int64_t first = 400;
  constexpr auto second = static_cast<std::int64_t>(size) - first;
  random_generator random(1, random_stream::test);
  auto theta = random_values(random, 1.0);
  const std::vector<torch::Tensor> parts = to_double(theta).split_with_sizes({first, second});
  std::vector<torch::Tensor> oracle;
  for (const auto& part : parts) oracle.push_back(part.clone().set_requires_grad(true));
  const auto oracle_optimizer = make_oracle(oracle);
  const auto optimizer = make_inner_optimizer(inner);
  inner_state state;
  for (int step = 0; step < steps; ++step) {
    // Norms from a third of the clip to twice it.
    auto g = random_values(random, (1 + step % 6) / (3.0 * std::sqrt(static_cast<double>(size))));
    const auto gradients = to_double(g).split_with_sizes({first, second});
    for (std::size_t i = 0; i < oracle.size(); ++i) oracle[i].mutable_grad() = gradients[i].clone();
    if (inner.clip > 0.0) torch::nn::utils::clip_grad_norm_(oracle, inner.clip);
    oracle_optimizer->param_groups()[0].options().set_lr(rate_at(step));
    oracle_optimizer->step();
    optimizer->step(theta, g, state, rate_at(step));
  }
  CHECK(state.steps == steps);
  const auto expected = torch::cat(oracle).detach();
  const auto moved = (expected - torch::cat(parts)).norm().item<double>();
  REQUIRE(moved > 0.01 * expected.norm().item<double>());
  return ((to_double(theta) - expected).norm() / expected.norm()).item<double>();
}

config::inner_section options_for(const char* name, double clip) {
  config::inner_section inner;
  inner.optimizer = name;
  inner.clip = clip;
  inner.weight_decay = 0.1;
  inner.momentum = 0.9;
  return inner;
}

torch_optimizer torch_sgd(const config::inner_section& inner, double momentum, bool nesterov) {
  const auto options =
      torch::optim::SGDOptions(1.0).momentum(momentum).nesterov(nesterov).weight_decay(
          inner.weight_decay);
  return [options](const std::vector<torch::Tensor>& parameters) {
    return std::make_unique<torch::optim::SGD>(parameters, options);
  };
}

torch_optimizer torch_adamw(const config::inner_section& inner) {
  const auto options = torch::optim::AdamWOptions(1.0)
                           .betas({inner.beta1, inner.beta2})
                           .eps(inner.epsilon)
                           .weight_decay(inner.weight_decay);
  return [options](const std::vector<torch::Tensor>& parameters) {
    return std::make_unique<torch::optim::AdamW>(parameters, options);
  };
}

constexpr double tolerance = 1e-6;

}  // namespace

TEST_CASE("inner optimizers agree with LibTorch's over a random stream, clipped or not") {
  for (const double clip : {0.0, 1.0}) {
    CAPTURE(clip);
    const auto sgd = options_for("sgd", clip);
    CHECK(relative_error(sgd, torch_sgd(sgd, 0.0, false)) < tolerance);
    const auto momentum = options_for("momentum", clip);
    CHECK(relative_error(momentum, torch_sgd(momentum, 0.9, false)) < tolerance);
    const auto nesterov = options_for("nesterov", clip);
    CHECK(relative_error(nesterov, torch_sgd(nesterov, 0.9, true)) < tolerance);
    const auto adamw = options_for("adamw", clip);
    CHECK(relative_error(adamw, torch_adamw(adamw)) < tolerance);
  }
}

TEST_CASE("clipping scales a long gradient to the limit and leaves a short one alone") {
  auto inner = options_for("sgd", 1.0);
  inner.weight_decay = 0.0;
  const auto optimizer = make_inner_optimizer(inner);
  inner_state state;
  std::vector<float> theta(2, 0.0F);
  std::vector<float> g = {3.0F, 4.0F};
  optimizer->step(theta, g, state, 1.0);
  CHECK(theta[0] == doctest::Approx(-0.6).epsilon(1e-6));
  CHECK(theta[1] == doctest::Approx(-0.8).epsilon(1e-6));

  theta = {0.0F, 0.0F};
  g = {0.25F, 0.5F};
  optimizer->step(theta, g, state, 1.0);
  CHECK(theta == std::vector<float>{-0.25F, -0.5F});
}

TEST_CASE("a state gets its buffers at the first step, as many as the method needs") {
  const auto buffers_after_a_step = [](const char* name) {
    inner_state state;
    std::vector<float> theta(size, 1.0F);
    const std::vector<float> g(size, 1.0F);
    make_inner_optimizer(options_for(name, 0.0))->step(theta, g, state, 0.1);
    for (const auto& buffer : state.buffers) CHECK(buffer->size() == size);
    return state.buffers.size();
  };
  CHECK(buffers_after_a_step("sgd") == 0);
  CHECK(buffers_after_a_step("momentum") == 1);
  CHECK(buffers_after_a_step("nesterov") == 1);
  CHECK(buffers_after_a_step("adamw") == 2);
}

TEST_CASE("sizes that differ are refused") {
  const auto optimizer = make_inner_optimizer(options_for("adamw", 1.0));
  inner_state state;
  std::vector<float> theta(8);
  const std::vector<float> g(8);
  optimizer->step(theta, g, state, 0.1);
  CHECK_THROWS_AS(optimizer->step(theta, std::span(g).first(7), state, 0.1), std::invalid_argument);
  std::vector<float> longer(9);
  CHECK_THROWS_AS(optimizer->step(longer, longer, state, 0.1), std::invalid_argument);
}

TEST_CASE("an unknown inner optimizer is refused with the list of those there are") {
  CHECK(make_inner_optimizer(options_for("adamw", 0.0))->name() == "adamw");
  CHECK_THROWS_WITH_AS(make_inner_optimizer(options_for("lion", 0.0)),
                       "inner.optimizer = \"lion\" is not known; it must be one of sgd, momentum, "
                       "nesterov, adamw",
                       usage_error);
}
