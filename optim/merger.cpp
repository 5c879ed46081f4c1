#include "optim/merger.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <thread>

#include "config/instruction_set.hpp"
#include "config/parallel.hpp"
#include "optim/streaming.hpp"

namespace rubato {

namespace {

// Elementwise stages, so these sizes are free: a block of each buffer fits in the L1 cache, and a
// piece is what one thread does at a time.
constexpr std::size_t block_size = merge_block_size;
constexpr std::size_t piece_size = std::size_t{1} << 16;

/// Threads for so many parameters: starting one takes as long as merging some ten thousand.
std::size_t threads_for(std::int64_t wanted, std::size_t size) {
  constexpr std::size_t usual = 4;  // as many keep most machines' memory busy
  constexpr std::size_t worth_a_thread = std::size_t{1} << 20;
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const auto most = wanted > 0 ? static_cast<std::size_t>(wanted) : std::min(usual, cores);
  return std::clamp<std::size_t>(size / worth_a_thread, 1, most);
}

/// (1 - share) from + share to, in double: rounded to float it never lies outside of the two.
float between(float from, float to, double share) {
  return static_cast<float>((1.0 - share) * from + share * to);
}

}  // namespace

/// What a merge is made of, the same for all of its pieces.
struct merger::step {
  const parameter_buffer& current;
  std::span<const merge_input> inputs;
  std::vector<double> weights;
  double inner_lr;
  double pending_share;      // of these inputs in the mean of what has waited
  parameter_buffer* result;  // null: they wait, too
};

/// Between the stages, on one thread.
struct merger::workspace {
  explicit workspace(std::size_t inputs) : deltas(inputs), changed(inputs * block_size) {}

  std::vector<std::span<const float>> deltas;
  parameter_buffer changed;  // those that are not the inputs' own
  alignas(register_bytes) std::array<float, block_size> g;
  alignas(register_bytes) std::array<float, block_size> result;
};

merger::merger(const parameter_layout& layout, const config& c)
    : layout_(layout),
      optimizer_(make_outer_optimizer(c)),
      compensation_(c.staleness, layout_.end(section::trainable)),
      accumulate_(static_cast<std::uint64_t>(c.outer.accumulate)),
      from_current_(optimizer_->measures_from_current() || c.outer.group_rounds > 1),
      full_weight_(c.outer.mode == "async" ? static_cast<double>(c.workers.count) : 0.0),
      threads_(threads_for(c.outer.threads, layout_.end(section::trainable))),
      streams_(layout_.size() * sizeof(float) >= streaming_bytes),
      outer_(optimizer_->initial_state(layout_.end(section::trainable))),
      pool_(layout_.size()) {
  if (accumulate_ > 1) {
    pending_sum_ = std::make_shared<parameter_buffer>(layout_.end(section::averaged));
  }
}

// -- merging ------------------------------------------------------------------------------------

version_ptr merger::merge(const version_ptr& current, std::span<const merge_input> inputs,
                          double inner_lr) {
  check(current, inputs);
  take_back();
  step s{*current, inputs, {}, inner_lr, 1.0, nullptr};
  double weight = 0.0;
  for (const auto& input : inputs) {
    s.weights.push_back(input.weight);
    weight += input.weight;
  }
  if (pending_sum_ != nullptr) {
    pending_weight_ += weight;
    s.pending_share = weight / pending_weight_;
    pending_ = (pending_ + 1) % accumulate_;
    if (pending_ == 0) weight = std::exchange(pending_weight_, 0.0);
  }
  const auto next = pending_ == 0 ? pool_.take() : nullptr;
  s.result = next.get();

  const std::size_t pieces = (layout_.end(section::trainable) + piece_size - 1) / piece_size;
  in_parallel(pieces, threads_, [&](std::size_t piece) { merge_trainable(s, piece * piece_size); });
  merge_averaged(s, full_weight_ > weight ? weight / full_weight_ : 1.0);
  if (next == nullptr) return current;
  if (optimizer_->renews_momentum(outer_.updates)) momentum_square_.reset();
  ++outer_.updates;
  const auto local = current->span().subspan(layout_.end(section::averaged));
  std::copy(local.begin(), local.end(), next->data() + layout_.end(section::averaged));
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
    good = good && (input.read ? input.delta == nullptr : fits(input.delta)) &&
           (!needs_base() || fits(input.base));
    if (!(input.weight > 0.0) || !std::isfinite(input.weight)) {
      throw std::invalid_argument("merger: a weight is not positive and finite");
    }
  }
  if (!good) throw std::invalid_argument("merger: a buffer is missing or not of the layout's size");
}

/// All stages on one piece of the trainable section, block by block, so that what one stage writes
/// the next finds in the L1 cache and every buffer goes through memory once.
void merger::merge_trainable(const step& s, std::size_t first) {
  const std::size_t last = std::min(first + piece_size, layout_.end(section::trainable));
  workspace room(s.inputs.size());
  for (; first < last; first += block_size) {
    const std::size_t count = std::min(block_size, last - first);
    auto g = combine(s, first, count, room);
    if (pending_sum_ != nullptr) {
      const auto sum = pending_sum_->span().subspan(first, count);
      if (s.result == nullptr) {
        vectorised([=] {
          RUBATO_ELEMENTWISE
          for (std::size_t i = 0; i < count; ++i) sum[i] += g[i];
        });
        continue;
      }
      const auto n = static_cast<float>(accumulate_);
      const auto mean = std::span(room.g).first(count);
      vectorised([=] {
        RUBATO_ELEMENTWISE
        for (std::size_t i = 0; i < count; ++i) mean[i] = (sum[i] + g[i]) / n;
      });
      std::fill(sum.begin(), sum.end(), 0.0F);
      g = mean;
    }
    const auto theta = s.current.span().subspan(first, count);
    const auto out = s.result->span().subspan(first, count);
    if (!streams_) {
      optimizer_->merge_piece(first, theta, outer_, g, out, s.inner_lr);
      continue;
    }
    const auto here = std::span(room.result).first(count);
    optimizer_->merge_piece(first, theta, outer_, g, here, s.inner_lr);
    stream(here, out.data());
  }
  if (streams_) streaming_done();
}

/// Stages 1 to 3 on a block; the result is in `room`, or is the input itself.
std::span<const float> merger::combine(const step& s, std::size_t first, std::size_t count,
                                       workspace& room) {
  for (std::size_t i = 0; i < s.inputs.size(); ++i) {
    const auto& input = s.inputs[i];
    const auto changed = room.changed.span().subspan(i * block_size, count);
    room.deltas[i] = changed;
    if (input.read) {
      input.read(first, changed);
    } else if (needs_base()) {
      std::copy_n(input.delta->data() + first, count, changed.data());
    } else {
      room.deltas[i] = input.delta->span().subspan(first, count);
    }
    if (needs_base()) correct(first, s.current, *input.base, changed);
  }
  const auto only = room.deltas.front();
  const auto g = std::span(room.g).first(count);
  if (room.deltas.size() > 1) {
    weighted_mean(room.deltas, s.weights, g);
    return g;
  }
  if (s.weights[0] == 1.0) return only;
  const auto weight = static_cast<float>(s.weights[0]);
  vectorised([=] {
    RUBATO_ELEMENTWISE
    for (std::size_t i = 0; i < count; ++i) g[i] = weight * only[i];
  });
  return g;
}

/// Stages 1 and 2, on elements [first, first + delta.size()) of the trainable section.
void merger::correct(std::size_t first, const parameter_buffer& current,
                     const parameter_buffer& start, std::span<float> delta) {
  const auto theta = current.span().subspan(first, delta.size());
  const auto base = start.span().subspan(first, delta.size());
  compensation_.apply(first, theta, base, delta);
  if (!from_current_) return;
  vectorised([=] {
    RUBATO_ELEMENTWISE
    for (std::size_t i = 0; i < delta.size(); ++i) delta[i] += theta[i] - base[i];
  });
}

/// The averaged section, which is short. `share` of it is replaced.
void merger::merge_averaged(const step& s, double share) {
  const std::size_t begin = layout_.end(section::trainable);
  const std::size_t count = layout_.end(section::averaged) - begin;
  std::vector<std::span<const float>> ends;
  std::vector<std::vector<float>> read(s.inputs.size());
  for (std::size_t i = 0; i < s.inputs.size(); ++i) {
    const auto& input = s.inputs[i];
    if (input.read) {
      read[i].resize(count);
      input.read(begin, read[i]);
      ends.emplace_back(read[i]);
    } else {
      ends.push_back(input.delta->span().subspan(begin, count));
    }
  }
  std::vector<float> mean(count);
  weighted_mean(ends, s.weights, mean);
  if (pending_sum_ != nullptr) {
    const auto waiting = pending_sum_->span().subspan(begin, count);
    for (std::size_t i = 0; i < count; ++i) {
      waiting[i] = between(waiting[i], mean[i], s.pending_share);
    }
    if (s.result == nullptr) return;
    std::copy(waiting.begin(), waiting.end(), mean.begin());
    std::fill(waiting.begin(), waiting.end(), 0.0F);
  }
  for (std::size_t i = 0; i < count; ++i) {
    s.result->data()[begin + i] = between(s.current.data()[begin + i], mean[i], share);
  }
}

double merger::cosine_to_momentum(const merge_input& input, double norm) const {
  const auto* momentum = optimizer_->momentum_of(outer_);
  if (momentum == nullptr) return std::numeric_limits<double>::quiet_NaN();
  const auto m = momentum->span();
  if (!momentum_square_) momentum_square_ = sum_of_squares(m, threads_);
  const double norms = norm * std::sqrt(*momentum_square_);
  if (!(norms > 0.0)) return std::numeric_limits<double>::quiet_NaN();
  const double product = input.read ? dot(input.read, m, threads_)
                                    : dot(input.delta->span().first(m.size()), m, threads_);
  return product / norms;
}

double merger::momentum_norm() const {
  return momentum_square_ ? std::sqrt(*momentum_square_) : std::numeric_limits<double>::quiet_NaN();
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
