// Inner optimizers against LibTorch's, which run in double precision on the same gradients.
// tests/optim/inner_optimizer_test.cpp has what LibTorch lacks.
#include <torch/torch.h>
// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "config/random.hpp"
#include "optim/inner_optimizer.hpp"

using namespace rubato;

namespace {

constexpr int steps = 50;

/// Makes an oracle on a matrix and a vector.
using torch_optimizer =
    std::function<std::unique_ptr<torch::optim::Optimizer>(const std::vector<torch::Tensor>&)>;

/// A matrix and a vector of sizes that are no multiple of any vector length.
parameter_layout matrix_and_vector() {
  parameter_layout layout;
  layout.add("weight", {13, 31});
  layout.add("bias", {601});
  return layout;
}

/// Normal values, zeros in the padding.
std::vector<float> random_values(const parameter_layout& layout, random_generator& random,
                                 double deviation) {
  std::vector<float> values(layout.size());
  for (const auto& t : layout.tensors()) {
    for (std::size_t i = 0; i < t.size; ++i) {
      values[t.offset + i] = static_cast<float>(deviation * random.normal());
    }
  }
  return values;
}

double rate_at(int step) {
  return 0.05 * (1.0 - static_cast<double>(step) / (2 * steps));
}

std::vector<torch::Tensor> to_double(const parameter_layout& layout, std::vector<float>& values) {
  std::vector<torch::Tensor> tensors;
  for (const auto& t : layout.tensors()) {
    tensors.push_back(torch::from_blob(values.data() + t.offset, t.shape).to(torch::kDouble));
  }
  return tensors;
}

torch::Tensor joined(const std::vector<torch::Tensor>& tensors) {
  std::vector<torch::Tensor> flat;
  for (const auto& t : tensors) flat.push_back(t.detach().flatten());
  return torch::cat(flat);
}

/// Runs both on one stream of gradients. The oracle has two tensors, so that a clipping norm that
/// is not global would show. Returns |ours - oracle| / |oracle|.
double relative_error(const config::inner_section& inner, const torch_optimizer& make_oracle) {
  const auto layout = matrix_and_vector();
  random_generator random(1, random_stream::test);
  auto theta = random_values(layout, random, 1.0);
  const auto start = joined(to_double(layout, theta));
  auto oracle = to_double(layout, theta);
  for (auto& tensor : oracle) tensor.set_requires_grad(true);
  const auto oracle_optimizer = make_oracle(oracle);
  const auto optimizer = make_inner_optimizer(inner, layout);
  inner_state state;
  const auto root = std::sqrt(static_cast<double>(layout.count(section::trainable)));
  for (int step = 0; step < steps; ++step) {
    // Norms from a third of the clip to twice it.
    auto g = random_values(layout, random, (1 + step % 6) / (3.0 * root));
    const auto gradients = to_double(layout, g);
    for (std::size_t i = 0; i < oracle.size(); ++i) oracle[i].mutable_grad() = gradients[i];
    if (inner.clip > 0.0) torch::nn::utils::clip_grad_norm_(oracle, inner.clip);
    for (auto& group : oracle_optimizer->param_groups()) group.options().set_lr(rate_at(step));
    oracle_optimizer->step();
    optimizer->step(theta, g, state, rate_at(step));
  }
  CHECK(state.steps == steps);
  const auto expected = joined(oracle);
  REQUIRE((expected - start).norm().item<double>() > 0.01 * expected.norm().item<double>());
  const auto difference = joined(to_double(layout, theta)) - expected;
  return (difference.norm() / expected.norm()).item<double>();
}

config::inner_section options_for(const char* name, double clip, const char* weight_decay_on) {
  config::inner_section inner;
  inner.optimizer = name;
  inner.clip = clip;
  inner.weight_decay = 0.1;
  inner.weight_decay_on = weight_decay_on;
  inner.momentum = 0.9;
  return inner;
}

/// Two groups: the matrix, and the vector with the weight decay that inner.weight_decay_on says.
template <class Optimizer, class Options>
torch_optimizer torch_groups(const config::inner_section& inner, Options options) {
  options.weight_decay(inner.weight_decay);
  auto vector_options = options;
  if (inner.weight_decay_on == "matrices") vector_options.weight_decay(0.0);
  return [=](const std::vector<torch::Tensor>& tensors) {
    const std::vector<torch::optim::OptimizerParamGroup> groups{
        {{tensors[0]}, std::make_unique<Options>(options)},
        {{tensors[1]}, std::make_unique<Options>(vector_options)}};
    return std::make_unique<Optimizer>(groups, options);
  };
}

torch_optimizer torch_sgd(const config::inner_section& inner, double momentum, bool nesterov) {
  return torch_groups<torch::optim::SGD>(
      inner, torch::optim::SGDOptions(1.0).momentum(momentum).nesterov(nesterov));
}

torch_optimizer torch_adamw(const config::inner_section& inner) {
  return torch_groups<torch::optim::AdamW>(
      inner, torch::optim::AdamWOptions(1.0).betas({inner.beta1, inner.beta2}).eps(inner.epsilon));
}

constexpr double tolerance = 1e-6;

}  // namespace

TEST_CASE("inner optimizers agree with LibTorch's, clipped or not, with decay on all or matrices") {
  for (const char* weight_decay_on : {"all", "matrices"}) {
    for (const double clip : {0.0, 1.0}) {
      CAPTURE(weight_decay_on);
      CAPTURE(clip);
      const auto sgd = options_for("sgd", clip, weight_decay_on);
      CHECK(relative_error(sgd, torch_sgd(sgd, 0.0, false)) < tolerance);
      const auto momentum = options_for("momentum", clip, weight_decay_on);
      CHECK(relative_error(momentum, torch_sgd(momentum, 0.9, false)) < tolerance);
      const auto nesterov = options_for("nesterov", clip, weight_decay_on);
      CHECK(relative_error(nesterov, torch_sgd(nesterov, 0.9, true)) < tolerance);
      const auto adamw = options_for("adamw", clip, weight_decay_on);
      CHECK(relative_error(adamw, torch_adamw(adamw)) < tolerance);
    }
  }
}

TEST_CASE("the comparison with LibTorch notices a weight decay that is on other tensors") {
  const auto all = options_for("momentum", 0.0, "all");
  const auto matrices = options_for("momentum", 0.0, "matrices");
  CHECK(relative_error(matrices, torch_sgd(all, 0.9, false)) > 100 * tolerance);
}
