#include "optim/inner_optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "config/error.hpp"
#include "optim/power.hpp"
#include "optim/reductions.hpp"

namespace rubato {

namespace {

class sgd final : public inner_optimizer {
 public:
  explicit sgd(const config::inner_section& inner)
      : inner_optimizer("sgd", inner.clip, 0), decay_(static_cast<float>(inner.weight_decay)) {}

 private:
  void apply(std::span<float> theta, std::span<const float> g, float scale, inner_state& /*state*/,
             double lr) const override {
    const auto rate = static_cast<float>(lr);
    for (std::size_t i = 0; i < theta.size(); ++i) {
      theta[i] -= rate * (scale * g[i] + decay_ * theta[i]);
    }
  }

  float decay_;
};

// m' = momentum m + g, then along m' (heavy ball).
class momentum final : public inner_optimizer {
 public:
  explicit momentum(const config::inner_section& inner)
      : inner_optimizer("momentum", inner.clip, 1),
        momentum_(static_cast<float>(inner.momentum)),
        decay_(static_cast<float>(inner.weight_decay)) {}

 private:
  void apply(std::span<float> theta, std::span<const float> g, float scale, inner_state& state,
             double lr) const override {
    const auto rate = static_cast<float>(lr);
    const auto m = state.buffers[0]->span();
    for (std::size_t i = 0; i < theta.size(); ++i) {
      m[i] = momentum_ * m[i] + (scale * g[i] + decay_ * theta[i]);
      theta[i] -= rate * m[i];
    }
  }

  float momentum_;
  float decay_;
};

// m' = momentum m + g, then along g + momentum m'.
class nesterov final : public inner_optimizer {
 public:
  explicit nesterov(const config::inner_section& inner)
      : inner_optimizer("nesterov", inner.clip, 1),
        momentum_(static_cast<float>(inner.momentum)),
        decay_(static_cast<float>(inner.weight_decay)) {}

 private:
  void apply(std::span<float> theta, std::span<const float> g, float scale, inner_state& state,
             double lr) const override {
    const auto rate = static_cast<float>(lr);
    const auto m = state.buffers[0]->span();
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const float decayed = scale * g[i] + decay_ * theta[i];
      m[i] = momentum_ * m[i] + decayed;
      theta[i] -= rate * (decayed + momentum_ * m[i]);
    }
  }

  float momentum_;
  float decay_;
};

class adamw final : public inner_optimizer {
 public:
  explicit adamw(const config::inner_section& inner)
      : inner_optimizer("adamw", inner.clip, 2),
        beta1_(inner.beta1),
        beta2_(inner.beta2),
        epsilon_(static_cast<float>(inner.epsilon)),
        decay_(inner.weight_decay) {}

 private:
  void apply(std::span<float> theta, std::span<const float> g, float scale, inner_state& state,
             double lr) const override {
    const auto keep = static_cast<float>(1.0 - lr * decay_);
    const auto rate = static_cast<float>(lr / (1.0 - power(beta1_, state.steps)));
    const auto correction = static_cast<float>(1.0 / std::sqrt(1.0 - power(beta2_, state.steps)));
    const auto beta1 = static_cast<float>(beta1_);
    const auto beta2 = static_cast<float>(beta2_);
    const auto rest1 = static_cast<float>(1.0 - beta1_);
    const auto rest2 = static_cast<float>(1.0 - beta2_);
    const auto m = state.buffers[0]->span();
    const auto v = state.buffers[1]->span();
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const float clipped = scale * g[i];
      m[i] = beta1 * m[i] + rest1 * clipped;
      v[i] = beta2 * v[i] + rest2 * (clipped * clipped);
      theta[i] = keep * theta[i] - rate * (m[i] / (std::sqrt(v[i]) * correction + epsilon_));
    }
  }

  double beta1_;
  double beta2_;
  float epsilon_;
  double decay_;
};

}  // namespace

inner_state copy_of(const inner_state& state) {
  inner_state copy;
  copy.steps = state.steps;
  for (const auto& buffer : state.buffers) {
    copy.buffers.push_back(std::make_unique<parameter_buffer>(buffer->size()));
    std::copy(buffer->span().begin(), buffer->span().end(), copy.buffers.back()->data());
  }
  return copy;
}

inner_state mean_of(std::span<const inner_state* const> states) {
  if (states.empty()) throw std::invalid_argument("mean_of: no state");
  inner_state mean;
  for (const auto* state : states) {
    mean.steps = std::max(mean.steps, state->steps);
    while (mean.buffers.size() < state->buffers.size()) {
      const auto size = state->buffers[mean.buffers.size()]->size();
      mean.buffers.push_back(std::make_unique<parameter_buffer>(size));
    }
  }
  const auto share = static_cast<float>(1.0 / static_cast<double>(states.size()));
  for (std::size_t i = 0; i < mean.buffers.size(); ++i) {
    const auto sum = mean.buffers[i]->span();
    for (const auto* state : states) {
      if (i >= state->buffers.size()) continue;
      const auto values = std::as_const(*state->buffers[i]).span();
      for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += share * values[j];
    }
  }
  return mean;
}

void inner_optimizer::step(std::span<float> theta, std::span<const float> g, inner_state& state,
                           double lr) const {
  while (state.buffers.size() < buffers_) {
    state.buffers.push_back(std::make_unique<parameter_buffer>(theta.size()));
  }
  const auto fits = [&](const auto& buffer) { return buffer->size() == theta.size(); };
  if (g.size() != theta.size() || state.buffers.size() != buffers_ ||
      !std::all_of(state.buffers.begin(), state.buffers.end(), fits)) {
    throw std::invalid_argument("inner_optimizer: parameters, gradient and state differ in size");
  }
  // torch.nn.utils.clip_grad_norm_, with its 1e-6 against a division by zero.
  const double scale =
      clip_ > 0.0 ? std::min(1.0, clip_ / (std::sqrt(sum_of_squares(g)) + 1e-6)) : 1.0;
  state.steps += 1;
  apply(theta, g, static_cast<float>(scale), state, lr);
}

std::unique_ptr<inner_optimizer> make_inner_optimizer(const config::inner_section& inner) {
  if (inner.optimizer == "sgd") return std::make_unique<sgd>(inner);
  if (inner.optimizer == "momentum") return std::make_unique<momentum>(inner);
  if (inner.optimizer == "nesterov") return std::make_unique<nesterov>(inner);
  if (inner.optimizer == "adamw") return std::make_unique<adamw>(inner);
  throw usage_error("inner.optimizer = \"" + inner.optimizer +
                    "\" is not known; it must be one of sgd, momentum, nesterov, adamw");
}

}  // namespace rubato
