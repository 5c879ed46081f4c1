// Inner optimizers: a worker's own SGD or AdamW, as passes over flat buffers. The state belongs to
// the worker and outlasts its rounds (inner.state says how); the optimizer object is stateless.
// Not here: the learning-rate schedule (coordination/schedule.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// A worker's optimizer state; buffers are allocated at the first step.
struct inner_state {
  std::uint64_t steps = 0;
  std::vector<std::unique_ptr<parameter_buffer>> buffers;
};

/// A state of its own with the same content.
inner_state copy_of(const inner_state& state);

/// The mean of several states, buffer by buffer; a buffer that one of them does not have counts as
/// zeros. The number of steps is the largest. Throws std::invalid_argument without any.
inner_state mean_of(std::span<const inner_state* const> states);

/// Immutable, so that threads may share one as long as each has its own state.
class inner_optimizer {
 public:
  virtual ~inner_optimizer() = default;

  /// The name used in `inner.optimizer`.
  std::string_view name() const { return name_; }

  /// One step on the trainable section: theta and g have the same size, lr is this step's rate.
  /// Takes g as clipped to the global norm `inner.clip` (0: off).
  /// SGD, momentum and Nesterov as torch.optim.SGD (weight decay added to the gradient, dampening
  /// 0); AdamW as torch.optim.AdamW (decoupled decay). Non-finite values propagate.
  /// Bit-identical on every machine. Throws std::invalid_argument if sizes differ.
  void step(std::span<float> theta, std::span<const float> g, inner_state& state, double lr) const;

 protected:
  /// `buffers`: how many of theta's size the state needs.
  inner_optimizer(std::string_view name, double clip, std::size_t buffers)
      : name_(name), clip_(clip), buffers_(buffers) {}

  /// One pass; the gradient is `scale * g`, state.steps counts this step already.
  virtual void apply(std::span<float> theta, std::span<const float> g, float scale,
                     inner_state& state, double lr) const = 0;

 private:
  std::string_view name_;
  double clip_;
  std::size_t buffers_;
};

/// Throws usage_error for an unknown name, listing the known ones.
std::unique_ptr<inner_optimizer> make_inner_optimizer(const config::inner_section& inner);

}  // namespace rubato
