#include "model/local_round.hpp"

#include <algorithm>
#include <utility>

#include "config/instruction_set.hpp"
#include "coordination/schedule.hpp"

namespace rubato {

local_round::local_round(const config& c, std::unique_ptr<learner> model,
                         std::shared_ptr<buffer_pool> deltas)
    : inner_options_(c.inner),
      model_(std::move(model)),
      vectors_(model_->make_round_vectors(c.inner)),
      deltas_(std::move(deltas)),
      overlap_(c.network.overlap) {}

void local_round::begin(const assignment& work, version_ptr base,
                        std::shared_ptr<inner_state> inner, const stretch& ahead) {
  // First of all: on a device this waits for what a round that was dropped has left behind.
  const auto theta = model_->parameters_to_overwrite();
  work_ = work;
  base_ = std::move(base);
  base_version_ = work.base_version;
  replied_ = false;
  inner_ = std::move(inner);
  steps_ = 0;
  loss_sum_ = 0.0;
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
  vectors_->begin(base_);
}

void local_round::take_over(version_ptr version, std::uint64_t number) {
  vectors_->take_over(version);
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
    if (inner_options_.proximal > 0.0) {
      vectors_->pull_to_base(static_cast<float>(inner_options_.proximal));
    }
    const double scale = work_.kind == round_kind::rescaled ? inner_options_.local_scale : 1.0;
    vectors_->step(*inner_, scale * learning_rate(inner_options_, work_.rates, steps_));
  }
  steps_ += 1;
}

local_round::result local_round::finish() {
  const auto& layout = model_->layout();
  auto delta = deltas_->take();
  const auto size = vectors_->finish(work_.kind == round_kind::gradient, delta->span());
  const auto own = delta->span().subspan(layout.end(section::averaged));
  if (layout.count(section::local) > 0) {
    auto local = std::make_shared<parameter_buffer>(own.size());
    std::copy(own.begin(), own.end(), local->data());
    inner_->local = std::move(local);
  }
  std::fill(own.begin(), own.end(), 0.0F);

  result r;
  r.update.id = work_.id;
  r.update.base_version = base_version_;
  r.update.elements = layout.count(section::trainable) + layout.count(section::averaged);
  r.update.finite = size.finite;
  r.update.norm = size.norm;
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
