// Inner optimizers: a worker's own SGD, LARS or AdamW, as one pass over each tensor of flat
// buffers. The state belongs to the worker and outlasts its rounds (inner.state says how); the
// optimizer object is stateless.
// Not here: the learning-rate schedule (coordination/schedule.hpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// The buffers of an inner state that are where its worker was trained, not in main memory.
class distant_buffers {
 public:
  virtual ~distant_buffers() = default;
  /// Copies in main memory. From any thread, but not while a round of the worker is computed.
  virtual std::vector<buffer_ptr> fetch() const = 0;
};

/// What a worker keeps from round to round: its optimizer's state, whose buffers are allocated at
/// the first step, its own values of local tensors, and what is yet to come of its updates.
struct inner_state {
  std::uint64_t steps = 0;
  std::vector<buffer_ptr> buffers;  // nobody else's; empty while they are distant
  std::shared_ptr<const distant_buffers> distant;
  version_ptr local;  // section::local after the last round; null: as in the version it starts from
  version_ptr residual;  // what network.codec_up kept back; null: nothing (transfer/error_feedback)
};

/// The state's buffers in main memory: itself has them, or they are copies.
std::vector<buffer_ptr> buffers_of(const inner_state& state);

/// Where inner states lie: with inner.state_files the folder that TMPDIR names, or /var/tmp, which
/// is on a disk where /tmp need not be; otherwise empty.
std::string state_folder(const config::inner_section& inner);

/// A state of its own with the same content, in memory or in files as parameter_buffer has them.
inner_state copy_of(const inner_state& state);
inner_state copy_of(const inner_state& state, const std::string& folder);

/// For what lies in files: see parameter_buffer.
void will_need(const inner_state& state);
void let_go(const inner_state& state);

/// The mean of several states, buffer by buffer; a buffer that one of them does not have counts as
/// zeros. The number of steps is the largest; local tensors are left out, for they stay with their
/// workers, and so do residuals. Throws std::invalid_argument without any.
inner_state mean_of(std::span<const inner_state* const> states);

/// Immutable, so that threads may share one as long as each has its own state.
class inner_optimizer {
 public:
  virtual ~inner_optimizer() = default;

  /// The name used in `inner.optimizer`.
  std::string_view name() const { return name_; }

  /// One step on the trainable section: theta and g have its size, padding included, and lr is
  /// this step's rate. Takes g as clipped to the global norm `inner.clip` (0: off).
  ///   sgd, momentum, nesterov: as torch.optim.SGD (weight decay added to the gradient, dampening
  ///     0).
  ///   lars (You et al. 2017): momentum on rate_l * (g + decay * w), where rate_l = trust * |w| /
  ///     (|g| + decay * |w| + epsilon) for each tensor by itself; 1 where a norm is 0 and for
  ///     tensors that `inner.weight_decay_on` leaves out.
  ///   adamw: as torch.optim.AdamW (decoupled decay).
  /// Momentum is a sum of gradients, and lr multiplies it on the way out. So it needs no correction
  /// when lr changes, by warm-up, milestone or inner.local_scale: steps are those of the form with
  /// lr inside, v' = momentum * (lr / previous lr) * v + lr * g (Goyal et al. 2017, section 3).
  /// Non-finite values propagate. Bit-identical on every machine.
  /// Throws std::invalid_argument, and changes nothing, unless theta, g and state are of the
  /// layout's size.
  void step(std::span<float> theta, std::span<const float> g, inner_state& state, double lr) const;

 protected:
  /// `buffers`: how many of theta's size the state needs, at most 2.
  inner_optimizer(const config::inner_section& inner, const parameter_layout& layout,
                  std::size_t buffers);

  /// What a method's formula sees of a step: one tensor.
  struct tensor_step {
    std::span<float> theta;
    std::span<const float> g;
    float scale;                              // from clipping: the gradient is scale * g
    std::array<std::span<float>, 2> buffers;  // as many as the state has
    std::uint64_t count;                      // steps of the state, this one included
    double lr;
    double decay;      // weight decay; 0 if it is left out
    bool is_left_out;  // by inner.weight_decay_on
  };

  /// The method, on one tensor.
  virtual void apply(const tensor_step& s) const = 0;

 private:
  struct tensor {
    std::size_t offset;
    std::size_t size;
    bool is_left_out;
  };

  std::string name_;
  std::string state_folder_;
  double clip_;
  double weight_decay_;
  std::size_t buffers_;
  std::size_t size_;  // of the trainable section
  std::vector<tensor> tensors_;
};

/// Steps on the trainable section of `layout`, which need not outlive the call.
/// Throws usage_error for an unknown name, listing the known ones.
std::unique_ptr<inner_optimizer> make_inner_optimizer(const config::inner_section& inner,
                                                      const parameter_layout& layout);

}  // namespace rubato
