#include "model/local_round.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "coordination/schedule.hpp"
#include "optim/reductions.hpp"

namespace rubato {

local_round::local_round(const config& c, std::unique_ptr<learner> model,
                         std::shared_ptr<buffer_pool> deltas)
    : inner_options_(c.inner),
      model_(std::move(model)),
      optimizer_(make_inner_optimizer(c.inner)),
      deltas_(std::move(deltas)) {}

void local_round::begin(const assignment& work, version_ptr base,
                        std::shared_ptr<inner_state> inner) {
  work_ = work;
  base_ = std::move(base);
  inner_ = std::move(inner);
  steps_ = 0;
  loss_sum_ = 0.0;
  std::copy(base_->span().begin(), base_->span().end(), model_->parameters().begin());
}

void local_round::step(const batch& b) {
  const std::size_t trainable = model_->layout().end(section::trainable);
  loss_sum_ += model_->compute_gradient(b);
  if (work_.kind != round_kind::gradient) {
    const double scale = work_.kind == round_kind::rescaled ? inner_options_.local_scale : 1.0;
    optimizer_->step(model_->parameters().first(trainable), model_->gradient().first(trainable),
                     *inner_, scale * learning_rate(inner_options_, work_.rates, steps_));
  }
  steps_ += 1;
}

local_round::result local_round::finish() {
  auto delta = deltas_->take();
  const auto theta = model_->parameters();
  const auto base = base_->span();
  std::transform(base.begin(), base.end(), theta.begin(), delta->data(),
                 [](float from, float to) { return from - to; });
  if (work_.kind == round_kind::gradient) {
    const auto gradient = model_->gradient().first(model_->layout().end(section::trainable));
    std::copy(gradient.begin(), gradient.end(), delta->data());
  }
  const auto shared = std::as_const(*delta).span().first(model_->layout().end(section::averaged));

  result r;
  r.update.id = work_.id;
  r.update.base_version = work_.base_version;
  r.update.elements =
      model_->layout().count(section::trainable) + model_->layout().count(section::averaged);
  r.update.finite = all_finite(shared);
  r.update.norm = std::sqrt(sum_of_squares(shared));
  r.update.loss = loss_sum_ / steps_;
  r.update.compute_time = work_.timing.compute;
  r.delta = std::move(delta);
  base_.reset();
  inner_.reset();
  return r;
}

}  // namespace rubato
