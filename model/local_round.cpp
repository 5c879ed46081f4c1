#include "model/local_round.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "config/instruction_set.hpp"
#include "coordination/schedule.hpp"
#include "optim/reductions.hpp"

namespace rubato {

local_round::local_round(const config& c, std::unique_ptr<learner> model,
                         std::shared_ptr<buffer_pool> deltas)
    : inner_options_(c.inner),
      model_(std::move(model)),
      optimizer_(make_inner_optimizer(c.inner, model_->layout())),
      deltas_(std::move(deltas)),
      overlap_(c.network.overlap) {}

void local_round::begin(const assignment& work, version_ptr base,
                        std::shared_ptr<inner_state> inner, const stretch& ahead) {
  work_ = work;
  base_ = std::move(base);
  base_version_ = work.base_version;
  replied_ = false;
  inner_ = std::move(inner);
  steps_ = 0;
  loss_sum_ = 0.0;
  const auto theta = model_->parameters();
  std::copy(base_->span().begin(), base_->span().end(), theta.begin());
  if (inner_->local) {
    const auto own = inner_->local->span();
    std::copy(own.begin(), own.end(), theta.last(own.size()).begin());
  }
  if (ahead) {
    const std::size_t trainable = model_->layout().end(section::trainable);
    const float* from = ahead.from->data();
    const float* to = ahead.to->data();
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < trainable; ++i) theta[i] += to[i] - from[i];
    });
    base_ = copy_of_parameters();
  }
}

void local_round::take_over(version_ptr version, std::uint64_t number) {
  const std::size_t trainable = model_->layout().end(section::trainable);
  const std::size_t shared = model_->layout().end(section::averaged);
  const auto theta = model_->parameters();
  const float* base = base_->data();
  const float* values = version->data();
  vectorised([=] {
    RUBATO_ELEMENTWISE
    for (std::size_t i = 0; i < trainable; ++i) theta[i] = values[i] + (theta[i] - base[i]);
  });
  std::copy(values + trainable, values + shared, theta.data() + trainable);
  base_ = std::move(version);
  base_version_ = number;
  replied_ = true;
}

version_ptr local_round::copy_of_parameters() const {
  const std::span<const float> theta = model_->parameters();
  auto copy = deltas_->take();
  std::copy(theta.begin(), theta.end(), copy->data());
  return copy;
}

void local_round::step(const batch& b) {
  loss_sum_ += model_->compute_gradient(b);
  if (work_.kind != round_kind::gradient && !model_->moves_itself()) {
    const std::size_t trainable = model_->layout().end(section::trainable);
    const auto theta = model_->parameters().first(trainable);
    const auto gradient = model_->gradient().first(trainable);
    if (inner_options_.proximal > 0.0) {
      const auto rho = static_cast<float>(inner_options_.proximal);
      const float* base = base_->data();
      vectorised([=] {
        RUBATO_ELEMENTWISE
        for (std::size_t i = 0; i < trainable; ++i) gradient[i] += rho * (theta[i] - base[i]);
      });
    }
    const double scale = work_.kind == round_kind::rescaled ? inner_options_.local_scale : 1.0;
    optimizer_->step(theta, gradient, *inner_,
                     scale * learning_rate(inner_options_, work_.rates, steps_));
  }
  steps_ += 1;
}

local_round::result local_round::finish() {
  const auto& layout = model_->layout();
  const std::size_t trainable = layout.end(section::trainable);
  const std::size_t shared = layout.end(section::averaged);
  const std::span<const float> theta = model_->parameters();
  auto delta = deltas_->take();
  const auto values = delta->span();
  if (work_.kind == round_kind::gradient) {
    const auto gradient = model_->gradient().first(trainable);
    std::copy(gradient.begin(), gradient.end(), values.begin());
  } else {
    const float* base = base_->data();
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < trainable; ++i) values[i] = base[i] - theta[i];
    });
  }
  std::copy(theta.data() + trainable, theta.data() + shared, values.data() + trainable);
  std::fill(values.data() + shared, values.data() + values.size(), 0.0F);
  if (layout.count(section::local) > 0) {
    auto local = std::make_shared<parameter_buffer>(theta.size() - shared);
    std::copy(theta.data() + shared, theta.data() + theta.size(), local->data());
    inner_->local = std::move(local);
  }

  result r;
  r.update.id = work_.id;
  r.update.base_version = base_version_;
  r.update.elements = layout.count(section::trainable) + layout.count(section::averaged);
  r.update.finite = all_finite(values.first(shared));
  r.update.norm = std::sqrt(sum_of_squares(values.first(trainable)));
  r.update.loss = loss_sum_ / steps_;
  r.update.compute_time = work_.timing.compute;
  r.delta = std::move(delta);
  r.replied = replied_;
  if (overlap_) r.went = {base_, copy_of_parameters()};
  base_.reset();
  inner_.reset();
  return r;
}

}  // namespace rubato
