#include "optim/merger.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "optim/reductions.hpp"

namespace rubato {

namespace {

// Elementwise stages, so the size of a piece is free; this one stays in the L1 cache.
constexpr std::size_t block_size = 1024;

/// (1 - share) from + share to, in double: rounded to float it never lies outside of the two.
float between(float from, float to, double share) {
  return static_cast<float>((1.0 - share) * from + share * to);
}

}  // namespace

merger::merger(const parameter_layout& layout, const config& c)
    : layout_(layout),
      optimizer_(make_outer_optimizer(c.outer, c.workers.count)),
      compensation_(c.staleness, layout_.end(section::trainable)),
      accumulate_(static_cast<std::uint64_t>(c.outer.accumulate)),
      from_current_(optimizer_->measures_from_current() || c.outer.group_rounds > 1),
      full_weight_(c.outer.mode == "async" ? static_cast<double>(c.workers.count) : 0.0),
      outer_(optimizer_->initial_state(layout_.end(section::trainable))),
      pool_(layout_.size()),
      g_(layout_.end(section::averaged)) {
  if (accumulate_ > 1) pending_sum_ = std::make_shared<parameter_buffer>(g_.size());
}

// -- merging ------------------------------------------------------------------------------------

version_ptr merger::merge(const version_ptr& current, std::span<const merge_input> inputs,
                          double inner_lr) {
  check(current, inputs);
  take_back();
  const std::size_t trainable = layout_.end(section::trainable);
  const std::size_t shared = layout_.end(section::averaged);

  auto g = combine(*current, inputs);
  double weight = 0.0;
  for (const auto& input : inputs) weight += input.weight;
  if (pending_sum_ != nullptr) {
    if (!accumulate(g, weight)) return current;
    g = g_.span();
    weight = std::exchange(pending_weight_, 0.0);
  }

  auto next = pool_.take();
  if (optimizer_->renews_momentum(outer_.updates)) momentum_square_.reset();
  optimizer_->merge(current->span().first(trainable), outer_, g.first(trainable),
                    next->span().first(trainable), inner_lr);
  const double share = full_weight_ > weight ? weight / full_weight_ : 1.0;
  for (std::size_t i = trainable; i < shared; ++i) {
    next->data()[i] = between(current->data()[i], g[i], share);
  }
  std::copy(current->span().begin() + static_cast<std::ptrdiff_t>(shared), current->span().end(),
            next->span().begin() + static_cast<std::ptrdiff_t>(shared));
  return next;
}

bool merger::needs_base() const {
  return compensation_.active() || from_current_;
}

void merger::check(const version_ptr& current, std::span<const merge_input> inputs) const {
  const auto fits = [this](const version_ptr& buffer) {
    return buffer != nullptr && buffer->size() == layout_.size();
  };
  if (inputs.empty()) throw std::invalid_argument("merger: there is no input");
  bool good = fits(current);
  for (const auto& input : inputs) {
    good = good && fits(input.delta) && (!needs_base() || fits(input.base));
    if (!(input.weight > 0.0) || !std::isfinite(input.weight)) {
      throw std::invalid_argument("merger: a weight is not positive and finite");
    }
  }
  if (!good) throw std::invalid_argument("merger: a buffer is missing or not of the layout's size");
}

/// Stages 1 and 2, on elements [first, first + delta.size()) of the trainable section.
void merger::correct(std::size_t first, const parameter_buffer& current,
                     const parameter_buffer& start, std::span<float> delta) {
  const auto theta = current.span().subspan(first, delta.size());
  const auto base = start.span().subspan(first, delta.size());
  compensation_.apply(first, theta, base, delta);
  if (from_current_) {
    for (std::size_t i = 0; i < delta.size(); ++i) delta[i] += theta[i] - base[i];
  }
}

/// Stages 1 to 3, and the mean of the averaged tensors. The result is good until the next merge, or
/// for as long as the input is.
std::span<const float> merger::combine(const parameter_buffer& current,
                                       std::span<const merge_input> inputs) {
  const std::size_t trainable = layout_.end(section::trainable);
  const std::size_t shared = layout_.end(section::averaged);
  if (inputs.size() == 1 && inputs[0].weight == 1.0 && !needs_base()) {
    return inputs[0].delta->span().first(shared);  // the common case, needs no copy
  }

  std::vector<double> weights;
  for (const auto& input : inputs) weights.push_back(input.weight);
  std::vector<std::span<const float>> pieces(inputs.size());
  std::vector<float> corrected(needs_base() ? inputs.size() * block_size : 0);
  for (std::size_t first = 0; first < trainable; first += block_size) {
    const std::size_t count = std::min(block_size, trainable - first);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      pieces[i] = inputs[i].delta->span().subspan(first, count);
      if (!needs_base()) continue;
      const auto copy = std::span(corrected).subspan(i * block_size, count);
      std::copy(pieces[i].begin(), pieces[i].end(), copy.begin());
      correct(first, current, *inputs[i].base, copy);
      pieces[i] = copy;
    }
    const auto out = g_.span().subspan(first, count);
    if (inputs.size() == 1) {
      const auto weight = static_cast<float>(weights[0]);
      for (std::size_t j = 0; j < count; ++j) out[j] = weight * pieces[0][j];
    } else {
      weighted_mean(pieces, weights, out);
    }
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    pieces[i] = inputs[i].delta->span().subspan(trainable, shared - trainable);
  }
  weighted_mean(pieces, weights, g_.span().subspan(trainable, shared - trainable));
  return g_.span();
}

/// Stage 4: true when a step is due, for the mean that is in g_ then.
bool merger::accumulate(std::span<const float> g, double weight) {
  const std::size_t trainable = layout_.end(section::trainable);
  const auto waiting = pending_sum_->span();
  pending_ += 1;
  pending_weight_ += weight;
  const double share = weight / pending_weight_;
  for (std::size_t i = trainable; i < waiting.size(); ++i) {
    waiting[i] = between(waiting[i], g[i], share);
  }
  const auto sum = waiting.first(trainable);
  if (pending_ < accumulate_) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += g[i];
    return false;
  }
  const auto n = static_cast<float>(accumulate_);
  for (std::size_t i = 0; i < sum.size(); ++i) g_.data()[i] = (sum[i] + g[i]) / n;
  std::copy(waiting.begin() + static_cast<std::ptrdiff_t>(trainable), waiting.end(),
            g_.data() + trainable);
  std::fill(waiting.begin(), waiting.end(), 0.0F);
  pending_ = 0;
  return true;
}

double merger::cosine_to_momentum(const parameter_buffer& delta) const {
  const auto* momentum = optimizer_->momentum_of(outer_);
  if (momentum == nullptr) return std::numeric_limits<double>::quiet_NaN();
  const auto g = delta.span().first(layout_.end(section::trainable));
  const auto m = momentum->span();
  if (!momentum_square_) momentum_square_ = sum_of_squares(m);
  const double norms = std::sqrt(sum_of_squares(g) * *momentum_square_);
  return norms > 0.0 ? dot(g, m) / norms : std::numeric_limits<double>::quiet_NaN();
}

// -- state --------------------------------------------------------------------------------------

std::vector<std::pair<std::string, buffer_ptr*>> merger::own_buffers() {
  std::vector<std::pair<std::string, buffer_ptr*>> result;
  const auto names = optimizer_->buffer_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    result.emplace_back(names[i], &outer_.buffers[i]);
  }
  if (pending_sum_ != nullptr) result.emplace_back("pending", &pending_sum_);
  if (auto& s = compensation_.mean_square()) result.emplace_back("mean_square", &s);
  return result;
}

/// From now on nobody else reads the buffers of the state.
void merger::take_back() {
  if (!std::exchange(lent_, false)) return;
  for (const auto& [name, buffer] : own_buffers()) {
    *buffer = copy_of(**buffer);
  }
}

merger_state merger::state() {
  merger_state result{outer_.updates, pending_, pending_weight_, {}};
  for (const auto& [name, values] : own_buffers()) result.buffers.push_back({name, *values});
  lent_ = true;
  return result;
}

void merger::restore(merger_state state) {
  const auto mine = own_buffers();
  const auto fits = [](const auto& here, const named_buffer& given) {
    return here.first == given.name && given.values != nullptr &&
           (*here.second)->size() == given.values->size();
  };
  if (state.pending >= accumulate_ ||
      !std::equal(mine.begin(), mine.end(), state.buffers.begin(), state.buffers.end(), fits)) {
    throw std::invalid_argument("merger: the state is of another configuration or layout");
  }
  for (std::size_t i = 0; i < mine.size(); ++i) {
    *mine[i].second = own(std::move(state.buffers[i].values));
  }
  lent_ = false;
  outer_.updates = state.updates;
  pending_ = state.pending;
  pending_weight_ = state.pending_weight;
  momentum_square_.reset();
}

config plain_mean(config c) {
  c.outer = {};
  c.outer.mode = "sync";
  c.outer.optimizer = "sgd";
  c.outer.lr = 1.0;
  c.staleness = {};
  return c;
}

}  // namespace rubato
