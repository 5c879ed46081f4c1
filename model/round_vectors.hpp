// What a local round computes with besides a learner: the base that it started from, the inner
// optimizer, and the pseudo-gradient, as passes over vectors that lie where the learner's
// parameters do. No LibTorch in this header. Not here: what a round consists of (local_round.hpp).
#pragma once

#include <memory>
#include <span>

#include "config/config.hpp"
#include "optim/inner_optimizer.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

class learner;

/// Used as the learner that it belongs to: by one thread. theta are the learner's parameters, g is
/// its gradient; what is said of them is about the trainable section. Throws run_error if LibTorch
/// fails (out of memory).
class round_vectors {
 public:
  virtual ~round_vectors() = default;

  /// A round begins at theta, which is what `base` says there.
  virtual void begin(version_ptr base) = 0;

  /// g += rho (theta - base).
  virtual void pull_to_base(float rho) = 0;

  /// A step of the inner optimizer, as inner_optimizer::step(). The state may leave main memory.
  virtual void step(inner_state& state, double lr) = 0;

  /// theta += version - base, averaged tensors become the version's, and it becomes the base.
  virtual void take_over(version_ptr version) = 0;

  /// The length of what a round has come to, and whether all of it and of the averaged tensors are
  /// numbers.
  struct size {
    double norm = 0.0;
    bool finite = false;
  };

  /// Writes base - theta, or g for `is_gradient`, and behind it the averaged and local tensors.
  /// `out` has the layout's size. The base is let go of.
  virtual size finish(bool is_gradient, std::span<float> out) = 0;
};

/// For learners in main memory.
std::unique_ptr<round_vectors> make_host_vectors(learner& model,
                                                 const config::inner_section& inner);

}  // namespace rubato
