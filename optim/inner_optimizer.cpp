#include "optim/inner_optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

#include "config/error.hpp"
#include "config/instruction_set.hpp"
#include "optim/power.hpp"
#include "optim/reductions.hpp"

namespace rubato {

namespace {

class sgd final : public inner_optimizer {
 public:
  sgd(const config::inner_section& inner, const parameter_layout& layout)
      : inner_optimizer(inner, layout, 0) {}

 private:
  void apply(const tensor_step& s) const override {
    const auto theta = s.theta;
    const auto g = s.g;
    const auto rate = static_cast<float>(s.lr);
    const auto decay = static_cast<float>(s.decay);
    const float scale = s.scale;
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < theta.size(); ++i) {
        theta[i] -= rate * (scale * g[i] + decay * theta[i]);
      }
    });
  }
};

// m' = momentum m + local g, then along m' (heavy ball); local is 1 without LARS.
class momentum : public inner_optimizer {
 public:
  momentum(const config::inner_section& inner, const parameter_layout& layout)
      : inner_optimizer(inner, layout, 1), momentum_(static_cast<float>(inner.momentum)) {}

 private:
  virtual double local_rate(const tensor_step& /*s*/) const { return 1.0; }

  void apply(const tensor_step& s) const final {
    const auto theta = s.theta;
    const auto g = s.g;
    const auto m = s.buffers[0];
    const auto rate = static_cast<float>(s.lr);
    const auto local = static_cast<float>(local_rate(s));
    const auto decay = static_cast<float>(s.decay);
    const float scale = s.scale;
    const float factor = momentum_;
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < theta.size(); ++i) {
        m[i] = factor * m[i] + local * (scale * g[i] + decay * theta[i]);
        theta[i] -= rate * m[i];
      }
    });
  }

  float momentum_;
};

class lars final : public momentum {
 public:
  lars(const config::inner_section& inner, const parameter_layout& layout)
      : momentum(inner, layout), trust_(inner.trust), epsilon_(inner.epsilon) {}

 private:
  double local_rate(const tensor_step& s) const override {
    if (s.is_left_out) return 1.0;
    const double w = std::sqrt(sum_of_squares(s.theta));
    const double g = s.scale * std::sqrt(sum_of_squares(s.g));
    if (w == 0.0 || g == 0.0) return 1.0;
    return trust_ * w / (g + s.decay * w + epsilon_);
  }

  double trust_;
  double epsilon_;
};

// m' = momentum m + g, then along g + momentum m'.
class nesterov final : public inner_optimizer {
 public:
  nesterov(const config::inner_section& inner, const parameter_layout& layout)
      : inner_optimizer(inner, layout, 1), momentum_(static_cast<float>(inner.momentum)) {}

 private:
  void apply(const tensor_step& s) const override {
    const auto theta = s.theta;
    const auto g = s.g;
    const auto m = s.buffers[0];
    const auto rate = static_cast<float>(s.lr);
    const auto decay = static_cast<float>(s.decay);
    const float scale = s.scale;
    const float factor = momentum_;
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < theta.size(); ++i) {
        const float decayed = scale * g[i] + decay * theta[i];
        m[i] = factor * m[i] + decayed;
        theta[i] -= rate * (decayed + factor * m[i]);
      }
    });
  }

  float momentum_;
};

class adamw final : public inner_optimizer {
 public:
  adamw(const config::inner_section& inner, const parameter_layout& layout)
      : inner_optimizer(inner, layout, 2),
        beta1_(inner.beta1),
        beta2_(inner.beta2),
        epsilon_(static_cast<float>(inner.epsilon)) {}

 private:
  void apply(const tensor_step& s) const override {
    const auto theta = s.theta;
    const auto g = s.g;
    const auto m = s.buffers[0];
    const auto v = s.buffers[1];
    const auto keep = static_cast<float>(1.0 - s.lr * s.decay);
    const auto rate = static_cast<float>(s.lr / (1.0 - power(beta1_, s.count)));
    const auto correction = static_cast<float>(1.0 / std::sqrt(1.0 - power(beta2_, s.count)));
    const auto beta1 = static_cast<float>(beta1_);
    const auto beta2 = static_cast<float>(beta2_);
    const auto rest1 = static_cast<float>(1.0 - beta1_);
    const auto rest2 = static_cast<float>(1.0 - beta2_);
    const float scale = s.scale;
    const float epsilon = epsilon_;
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < theta.size(); ++i) {
        const float clipped = scale * g[i];
        m[i] = beta1 * m[i] + rest1 * clipped;
        v[i] = beta2 * v[i] + rest2 * (clipped * clipped);
        theta[i] = keep * theta[i] - rate * (m[i] / (std::sqrt(v[i]) * correction + epsilon));
      }
    });
  }

  double beta1_;
  double beta2_;
  float epsilon_;
};

}  // namespace

std::vector<buffer_ptr> buffers_of(const inner_state& state) {
  return state.distant ? state.distant->fetch() : state.buffers;
}

std::string state_folder(const config::inner_section& inner) {
  if (!inner.state_files) return {};
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/var/tmp";
}

inner_state copy_of(const inner_state& state) {
  return copy_of(state, {});
}

inner_state copy_of(const inner_state& state, const std::string& folder) {
  inner_state copy;
  copy.steps = state.steps;
  copy.buffers = buffers_of(state);
  for (auto& buffer : copy.buffers) {
    // What was fetched is nobody else's already.
    if (!state.distant || !folder.empty()) buffer = copy_of(*buffer, folder);
  }
  copy.local = state.local;
  copy.residual = state.residual;
  return copy;
}

void will_need(const inner_state& state) {
  for (const auto& buffer : state.buffers) buffer->will_need();
  if (state.residual) state.residual->will_need();
}

void let_go(const inner_state& state) {
  for (const auto& buffer : state.buffers) buffer->let_go();
  if (state.residual) state.residual->let_go();
}

inner_state mean_of(std::span<const inner_state* const> states) {
  if (states.empty()) throw std::invalid_argument("mean_of: no state");
  inner_state mean;
  const auto share = static_cast<float>(1.0 / static_cast<double>(states.size()));
  for (const auto* state : states) {
    mean.steps = std::max(mean.steps, state->steps);
    const auto buffers = buffers_of(*state);
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      const auto values = std::as_const(*buffers[i]).span();
      if (i == mean.buffers.size()) {
        mean.buffers.push_back(std::make_shared<parameter_buffer>(values.size()));
      }
      const auto sum = mean.buffers[i]->span();
      vectorised([=] {
        RUBATO_ELEMENTWISE
        for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += share * values[j];
      });
    }
  }
  return mean;
}

inner_optimizer::inner_optimizer(const config::inner_section& inner, const parameter_layout& layout,
                                 std::size_t buffers)
    : name_(inner.optimizer),
      state_folder_(state_folder(inner)),
      clip_(inner.clip),
      weight_decay_(inner.weight_decay),
      buffers_(buffers),
      size_(layout.end(section::trainable)) {
  const bool matrices_only = inner.weight_decay_on == "matrices";
  for (const auto& t : layout.tensors()) {
    if (t.part != section::trainable) continue;
    tensors_.push_back({t.offset, t.size, matrices_only && t.shape.size() < 2});
  }
}

void inner_optimizer::step(std::span<float> theta, std::span<const float> g, inner_state& state,
                           double lr) const {
  if (state.distant) {
    state.buffers = state.distant->fetch();
    state.distant.reset();
  }
  const auto fits = [&](const auto& buffer) { return buffer->size() == size_; };
  if (theta.size() != size_ || g.size() != size_ || state.buffers.size() > buffers_ ||
      !std::all_of(state.buffers.begin(), state.buffers.end(), fits)) {
    throw std::invalid_argument(
        "inner_optimizer: parameters, gradient or state are not of the layout's size");
  }
  while (state.buffers.size() < buffers_) {
    state.buffers.push_back(std::make_shared<parameter_buffer>(size_, state_folder_));
  }
  // torch.nn.utils.clip_grad_norm_, with its 1e-6 against a division by zero.
  const double scale =
      clip_ > 0.0 ? std::min(1.0, clip_ / (std::sqrt(sum_of_squares(g)) + 1e-6)) : 1.0;
  state.steps += 1;
  for (const auto& t : tensors_) {
    tensor_step s{.theta = theta.subspan(t.offset, t.size),
                  .g = g.subspan(t.offset, t.size),
                  .scale = static_cast<float>(scale),
                  .buffers = {},
                  .count = state.steps,
                  .lr = lr,
                  .decay = t.is_left_out ? 0.0 : weight_decay_,
                  .is_left_out = t.is_left_out};
    for (std::size_t i = 0; i < buffers_; ++i) {
      s.buffers[i] = state.buffers[i]->span().subspan(t.offset, t.size);
    }
    apply(s);
  }
}

std::unique_ptr<inner_optimizer> make_inner_optimizer(const config::inner_section& inner,
                                                      const parameter_layout& layout) {
  if (inner.optimizer == "sgd") return std::make_unique<sgd>(inner, layout);
  if (inner.optimizer == "momentum") return std::make_unique<momentum>(inner, layout);
  if (inner.optimizer == "nesterov") return std::make_unique<nesterov>(inner, layout);
  if (inner.optimizer == "lars") return std::make_unique<lars>(inner, layout);
  if (inner.optimizer == "adamw") return std::make_unique<adamw>(inner, layout);
  throw usage_error("inner.optimizer = \"" + inner.optimizer +
                    "\" is not known; it must be one of sgd, momentum, nesterov, lars, adamw");
}

}  // namespace rubato
