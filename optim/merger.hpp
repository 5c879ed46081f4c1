// One step from a version to the next: the outer optimizer on the trainable section, a plain
// average on the averaged one. The same code serves training and replay. No actors, no clock.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "optim/outer_optimizer.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

class merger {
 public:
  /// `layout` is copied; one thread at a time.
  merger(const parameter_layout& layout, std::unique_ptr<outer_optimizer> optimizer);

  /// The version after `current`. One pseudo-gradient is multiplied with its weight, several are
  /// averaged with theirs, in the order given; the result goes to the optimizer. Averaged tensors
  /// move by the same amount without an optimizer: b' = b - (b_base - b_end); local tensors stay.
  /// Throws std::invalid_argument unless buffers have layout.size() floats and there is at least
  /// one delta, with one weight each.
  version_ptr merge(const parameter_buffer& current, std::span<const version_ptr> deltas,
                    std::span<const double> weights);

  /// Cosine between a pseudo-gradient and the optimizer's momentum, on the trainable section;
  /// NaN if either is zero or the method has none.
  double cosine_to_momentum(const parameter_buffer& delta) const;

 private:
  parameter_layout layout_;
  std::unique_ptr<outer_optimizer> optimizer_;
  outer_state state_;
  buffer_pool pool_;
  parameter_buffer mean_;
};

}  // namespace rubato
