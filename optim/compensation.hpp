// Delay compensation (DC-ASGD, arXiv 1609.08326, here on pseudo-gradients): what g would have been
// at the current parameters, to first order, with g g in place of the Hessian's diagonal:
// g + lambda g g (theta - theta_base), elementwise.
// Not here: which updates it is for and what weight they get afterwards (merger.hpp).
#pragma once

#include <cstddef>
#include <span>

#include "config/config.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// `staleness.compensation` with its memory. One thread at a time.
class compensation {
 public:
  /// `size`: floats of the trainable section.
  /// Throws usage_error for an unknown kind, listing the known ones.
  compensation(const config::staleness_section& staleness, std::size_t size);

  /// False when it would change nothing: kind "none", or lambda = 0.
  bool active() const { return active_; }

  /// Compensates elements [first, first + g.size()) of one pseudo-gradient, which is not weighted
  /// yet. theta, base and g have one size. Each element once for each pseudo-gradient, in any
  /// pieces: elementwise, so bit-identical for any split. With "adaptive", g moves the running mean
  /// first: s' = rho s + (1 - rho) g g, and then lambda / sqrt(s' + 1e-7) stands for lambda.
  void apply(std::size_t first, std::span<const float> theta, std::span<const float> base,
             std::span<float> g);

  /// s of "adaptive", all of it between updates, to be read, set or replaced; nullptr otherwise.
  buffer_ptr& mean_square() { return mean_square_; }

 private:
  bool active_;
  float lambda_;
  float keep_;  // rho
  float rest_;  // 1 - rho
  buffer_ptr mean_square_;
};

}  // namespace rubato
