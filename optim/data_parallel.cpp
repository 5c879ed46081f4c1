#include "optim/data_parallel.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "optim/reductions.hpp"

namespace rubato {

namespace {

/// This state never waits.
config::inner_section in_memory(config::inner_section inner) {
  inner.state_files = false;
  return inner;
}

}  // namespace

data_parallel::data_parallel(const parameter_layout& layout, const config::inner_section& inner)
    : layout_(layout),
      optimizer_(make_inner_optimizer(in_memory(inner), layout)),
      pool_(layout_.size()),
      mean_(layout_.end(section::averaged)) {}

version_ptr data_parallel::step(const parameter_buffer& current,
                                std::span<const merge_input> gradients, double lr) {
  const std::size_t trainable = layout_.end(section::trainable);
  const std::size_t shared = layout_.end(section::averaged);
  std::vector<std::span<const float>> inputs;
  std::vector<double> weights;
  for (const auto& gradient : gradients) {
    if (gradient.delta->size() != layout_.size() || current.size() != layout_.size()) {
      throw std::invalid_argument("data_parallel: a buffer is not of the layout's size");
    }
    inputs.push_back(gradient.delta->span().first(shared));
    weights.push_back(gradient.weight);
  }
  if (inputs.empty()) throw std::invalid_argument("data_parallel: no gradient");
  weighted_mean(inputs, weights, mean_.span());

  auto next = pool_.take();
  const auto old = current.span();
  std::copy(old.begin(), old.end(), next->data());
  optimizer_->step(next->span().first(trainable), std::as_const(mean_).span().first(trainable),
                   state_, lr);
  std::copy(mean_.data() + trainable, mean_.data() + shared, next->data() + trainable);
  return next;
}

}  // namespace rubato
