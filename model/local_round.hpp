// One round of a worker: from a base version, a number of inner steps, to a pseudo-gradient; or one
// gradient, where the server takes the steps. What a lane runs, and what a bare loop without actors
// would do, step for step.
#pragma once

#include <cstdint>
#include <memory>

#include "config/config.hpp"
#include "coordination/types.hpp"
#include "data/dataset.hpp"
#include "model/learner.hpp"
#include "model/round_vectors.hpp"
#include "optim/inner_optimizer.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// Reusable: begin, step until done, finish, begin again. One thread at a time; on the thread that
/// made the learner.
class local_round {
 public:
  /// Pseudo-gradients come from `deltas`, whose buffers have the size of the model's layout.
  local_round(const config& c, std::unique_ptr<learner> model, std::shared_ptr<buffer_pool> deltas);

  /// Copies `base` into the learner, but for local tensors that `inner` has values of. `inner` is
  /// the worker's, changed by step() and finish(). With `ahead` (network.overlap) the trainable
  /// section starts from base + (ahead.to - ahead.from): what the worker did since the update that
  /// is part of `base`.
  void begin(const assignment& work, version_ptr base, std::shared_ptr<inner_state> inner,
             const stretch& ahead = {});

  /// Steps so far.
  std::uint32_t steps() const { return steps_; }

  bool done() const { return steps_ == work_.steps; }

  /// One inner step on the next batch of the round, at the learning rate of Eq 3; for
  /// round_kind::gradient only the gradient, not clipped.
  /// inner.proximal = rho > 0 adds (rho / 2) |theta - theta_base|^2 to the loss that is descended
  /// (FedAsync): rho (theta - theta_base) is part of the gradient, so it is clipped with it. The
  /// loss that is reported is without it.
  void step(const batch& b);

  /// With network.overlap, between two steps: this version has the worker's last update in it, the
  /// one after which the round began. theta becomes version + (theta - base), and the version, of
  /// that number, the base. Averaged tensors become the version's.
  void take_over(version_ptr version, std::uint64_t number);

  struct result {
    arrival update;
    // Trainable section: theta_base - theta_end, or the gradient. Averaged: what the round ended
    // with. Local: zero.
    version_ptr delta;
    stretch went;          // with network.overlap: from the base to the end
    bool replied = false;  // take_over() was called
  };

  /// The update and what is to be said about it; its norm is that of the trainable section. Leaves
  /// local tensors in the inner state. Lets go of base and inner state.
  result finish();

 private:
  version_ptr copy_of_parameters() const;

  config::inner_section inner_options_;
  std::unique_ptr<learner> model_;
  std::unique_ptr<round_vectors> vectors_;
  std::shared_ptr<buffer_pool> deltas_;
  bool overlap_;
  assignment work_;
  version_ptr base_;
  std::uint64_t base_version_ = 0;
  bool replied_ = false;
  std::shared_ptr<inner_state> inner_;
  std::uint32_t steps_ = 0;
  double loss_sum_ = 0.0;
};

}  // namespace rubato
