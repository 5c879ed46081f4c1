// The server's optimizers with a counterpart in LibTorch, against it: double precision, the same
// pseudo-gradients. Here and not in tests/optim, which has no LibTorch.
#include <torch/torch.h>
// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "config/random.hpp"
#include "optim/outer_optimizer.hpp"

using namespace rubato;

namespace {

/// |ours - oracle| / |oracle| after 50 merges of random pseudo-gradients; the oracle is
/// `Optimizer`.
template <typename Optimizer, typename Options>
double relative_error(const config::outer_section& outer, const Options& options) {
  constexpr std::int64_t size = 1003;  // no multiple of any vector length
  const auto optimizer = make_outer_optimizer(outer, /*workers=*/4);
  auto state = optimizer->initial_state(size);

  random_generator random(1, random_stream::test);
  std::vector<float> theta(size);
  for (float& x : theta) x = static_cast<float>(random.normal());
  auto oracle = torch::from_blob(theta.data(), {size}).to(torch::kDouble).set_requires_grad(true);
  Optimizer oracle_optimizer(std::vector<torch::Tensor>{oracle}, options);

  std::vector<float> next(size);
  std::vector<float> g(size);
  for (int merge = 0; merge < 50; ++merge) {
    for (float& x : g) x = static_cast<float>(0.1 * random.normal());
    oracle.mutable_grad() = torch::from_blob(g.data(), {size}).to(torch::kDouble);
    oracle_optimizer.step();
    optimizer->merge(theta, state, g, next, /*inner_lr=*/0.01);
    theta.swap(next);
  }
  const auto ours = torch::from_blob(theta.data(), {size}).to(torch::kDouble);
  return ((ours - oracle.detach()).norm() / oracle.detach().norm()).item<double>();
}

}  // namespace

TEST_CASE("outer optimizers agree with LibTorch's SGD over a random stream") {
  config::outer_section outer;
  outer.lr = 0.7;
  outer.momentum = 0.9;
  torch::optim::SGDOptions options(0.7);
  outer.optimizer = "sgd";
  CHECK(relative_error<torch::optim::SGD>(outer, options) < 1e-6);
  options.momentum(0.9);
  outer.optimizer = "momentum";
  CHECK(relative_error<torch::optim::SGD>(outer, options) < 1e-6);
  options.nesterov(true);
  outer.optimizer = "nesterov";
  CHECK(relative_error<torch::optim::SGD>(outer, options) < 1e-6);
}

TEST_CASE("the outer adam and adamw agree with LibTorch's over a random stream") {
  for (const double decay : {0.0, 0.1}) {
    for (const double epsilon : {1e-8, 0.1}) {
      config::outer_section outer;
      outer.lr = 0.03;
      outer.beta1 = 0.9;
      outer.beta2 = 0.95;
      outer.epsilon = epsilon;
      outer.weight_decay = decay;
      CAPTURE(decay);
      CAPTURE(epsilon);
      outer.optimizer = "adam";
      CHECK(
          relative_error<torch::optim::Adam>(
              outer,
              torch::optim::AdamOptions(0.03).betas({0.9, 0.95}).eps(epsilon).weight_decay(decay)) <
          1e-6);
      outer.optimizer = "adamw";
      CHECK(relative_error<torch::optim::AdamW>(outer, torch::optim::AdamWOptions(0.03)
                                                           .betas({0.9, 0.95})
                                                           .eps(epsilon)
                                                           .weight_decay(decay)) < 1e-6);
    }
  }
}
