// Data-parallel training: the server averages the workers' gradients of one batch each and takes
// the step that each of them would have taken, with an inner optimizer and state of its own.
// Not here: pseudo-gradients of local steps (merger.hpp).
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "config/config.hpp"
#include "optim/inner_optimizer.hpp"
#include "optim/merger.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

class data_parallel {
 public:
  /// One thread at a time. Throws usage_error for an unknown inner optimizer.
  data_parallel(const parameter_layout& layout, const config::inner_section& inner);

  /// The version after `current`: one step of the inner optimizer, clipping included, at rate `lr`
  /// on the mean of the gradients, which are the inputs' deltas in the trainable section. Averaged
  /// tensors become the mean of what the workers ended with, local ones stay.
  /// Throws std::invalid_argument unless there is at least one input and sizes fit.
  version_ptr step(const parameter_buffer& current, std::span<const merge_input> gradients,
                   double lr);

  /// The optimizer's state as it is now.
  const inner_state& state() const { return state_; }

  /// Goes on from a state of one with the same layout and optimizer; the buffers become its own.
  void restore(inner_state state) { state_ = std::move(state); }

 private:
  parameter_layout layout_;
  std::unique_ptr<inner_optimizer> optimizer_;
  inner_state state_;
  buffer_pool pool_;
  parameter_buffer mean_;
};

}  // namespace rubato
