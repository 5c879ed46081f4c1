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

/// |ours - oracle| / |oracle| after 50 merges of random pseudo-gradients.
double relative_error(const char* name, double oracle_momentum, bool oracle_nesterov) {
  constexpr std::int64_t size = 1003;  // no multiple of any vector length
  config::outer_section outer;
  outer.optimizer = name;
  outer.lr = 0.7;
  outer.momentum = 0.9;
  const auto optimizer = make_outer_optimizer(outer, /*workers=*/4);
  auto state = optimizer->initial_state(size);

  random_generator random(1, random_stream::test);
  std::vector<float> theta(size);
  for (float& x : theta) x = static_cast<float>(random.normal());
  auto oracle = torch::from_blob(theta.data(), {size}).to(torch::kDouble).set_requires_grad(true);
  torch::optim::SGD oracle_optimizer(
      std::vector<torch::Tensor>{oracle},
      torch::optim::SGDOptions(outer.lr).momentum(oracle_momentum).nesterov(oracle_nesterov));

  std::vector<float> next(size);
  std::vector<float> g(size);
  for (int merge = 0; merge < 50; ++merge) {
    for (float& x : g) x = static_cast<float>(0.1 * random.normal());
    oracle.mutable_grad() = torch::from_blob(g.data(), {size}).to(torch::kDouble);
    oracle_optimizer.step();
    optimizer->merge(theta, state, g, next);
    theta.swap(next);
  }
  const auto ours = torch::from_blob(theta.data(), {size}).to(torch::kDouble);
  return ((ours - oracle.detach()).norm() / oracle.detach().norm()).item<double>();
}

}  // namespace

TEST_CASE("outer optimizers agree with LibTorch's SGD over a random stream") {
  CHECK(relative_error("sgd", 0.0, false) < 1e-6);
  CHECK(relative_error("momentum", 0.9, false) < 1e-6);
  CHECK(relative_error("nesterov", 0.9, true) < 1e-6);
}
