#include "optim/merger.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "optim/reductions.hpp"

namespace rubato {

merger::merger(const parameter_layout& layout, std::unique_ptr<outer_optimizer> optimizer)
    : layout_(layout),
      optimizer_(std::move(optimizer)),
      state_(optimizer_->initial_state(layout_.end(section::trainable))),
      pool_(layout_.size()),
      mean_(layout_.end(section::averaged)) {}

version_ptr merger::merge(const parameter_buffer& current, std::span<const version_ptr> deltas,
                          std::span<const double> weights) {
  if (deltas.empty() || deltas.size() != weights.size()) {
    throw std::invalid_argument("merger: as many weights as deltas, at least one");
  }
  for (const auto& delta : deltas) {
    if (delta->size() != layout_.size() || current.size() != layout_.size()) {
      throw std::invalid_argument("merger: a buffer is not of the layout's size");
    }
  }
  const std::size_t trainable = layout_.end(section::trainable);
  const std::size_t shared = layout_.end(section::averaged);

  // A single update of weight 1, the common case, needs no copy.
  std::span<const float> g = deltas[0]->span().first(shared);
  if (deltas.size() > 1) {
    std::vector<std::span<const float>> inputs;
    for (const auto& delta : deltas) inputs.push_back(delta->span().first(shared));
    weighted_mean(inputs, weights, mean_.span());
    g = mean_.span();
  } else if (weights[0] != 1.0) {
    const auto weight = static_cast<float>(weights[0]);
    std::transform(g.begin(), g.end(), mean_.data(), [weight](float x) { return weight * x; });
    g = mean_.span();
  }

  auto next = pool_.take();
  optimizer_->merge(current.span().first(trainable), state_, g.first(trainable),
                    next->span().first(trainable));
  for (std::size_t i = trainable; i < shared; ++i) next->data()[i] = current.data()[i] - g[i];
  std::copy(current.span().begin() + static_cast<std::ptrdiff_t>(shared), current.span().end(),
            next->span().begin() + static_cast<std::ptrdiff_t>(shared));
  return next;
}

double merger::cosine_to_momentum(const parameter_buffer& delta) const {
  const auto* momentum = optimizer_->momentum_of(state_);
  if (momentum == nullptr) return std::numeric_limits<double>::quiet_NaN();
  const auto g = delta.span().first(layout_.end(section::trainable));
  const auto m = momentum->span();
  const double norms = std::sqrt(sum_of_squares(g) * sum_of_squares(m));
  return norms > 0.0 ? dot(g, m) / norms : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace rubato
