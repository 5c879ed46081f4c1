// One step from a version to the next: corrections for staleness, weights, accumulation and the
// outer optimizer on the trainable section, a plain average on the averaged one. The same code
// serves training and replay. No actors, no clock.
// Not here: which updates are merged, when, and their weights (coordination/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "optim/compensation.hpp"
#include "optim/outer_optimizer.hpp"
#include "optim/parameter_buffer.hpp"
#include "optim/reductions.hpp"

namespace rubato {

/// One worker's contribution to a merge.
struct merge_input {
  // Of the whole layout's size: theta_base - theta_end in the trainable section, what the worker
  // ended with in the averaged one; nothing is read of the local one.
  version_ptr delta;
  version_ptr base;     // the version the worker started from; may be null unless needs_base()
  double weight = 1.0;  // beside the other inputs; of a single one, a plain factor
  // In place of `delta`, which is null then: writes its elements [first, first + out.size()), so
  // that an update in a codec need not be decoded as a whole. In the trainable
  // section `first` is a multiple of merge_block_size, and out is as long or ends with the section;
  // the averaged section is read as a whole.
  value_reader read = {};
};

/// Floats that a merge looks at at a time.
inline constexpr std::size_t merge_block_size = 1024;

struct named_buffer {
  std::string name;
  version_ptr values;
};

/// Everything a merger remembers between merges, between two steps of the optimizer too. Saved and
/// restored, it goes on bit for bit.
struct merger_state {
  std::uint64_t updates = 0;    // steps of the optimizer so far: t of the papers
  std::uint64_t pending = 0;    // merges since then that wait for their step
  double pending_weight = 0.0;  // of their updates together
  // The optimizer's (outer_optimizer::buffer_names()), then "pending" (with outer.accumulate > 1:
  // the sum of what waits, of averaged tensors the mean) and "mean_square" (with adaptive
  // compensation).
  std::vector<named_buffer> buffers;
};

class merger {
 public:
  /// The stages that `c` asks for, in its sections outer and staleness; workers.count stands in for
  /// outer.buffer = 0. `layout` is copied. One thread at a time.
  /// Throws usage_error for an unknown method and for what the method does not allow.
  merger(const parameter_layout& layout, const config& c);

  /// The version after `current`, in five stages; the first four make g of the trainable section:
  /// 1. delay compensation of each pseudo-gradient (compensation.hpp);
  /// 2. for methods that measure from the current parameters (mixing), and with
  ///    outer.group_rounds > 1, where rounds start from what groups have: + theta - theta_base;
  /// 3. weights: a single input is multiplied with its own, several are averaged with theirs, in
  ///    the order given;
  /// 4. accumulation: until outer.accumulate merges have come, their sum waits and the result is
  ///    `current` itself; then their mean (each counts 1 / outer.accumulate) goes on;
  /// 5. one step of the optimizer.
  /// Averaged tensors go to the weighted mean of what the workers ended with, all the way in sync
  /// mode, otherwise a share a of it: b' = (1 - a) b + a mean with a = min(1, sum of weights /
  /// workers.count), so that the updates of all workers together replace b once. They stay between
  /// their inputs: a variance stays positive. With accumulation the mean is that of all that
  /// waited. Local ones stay.
  /// `inner_lr`: the workers' learning rate at the start of the round, see outer_optimizer::merge.
  /// Throws std::invalid_argument unless there is at least one input, every buffer has
  /// layout.size() floats or is read, bases are there if needs_base(), and weights are positive and
  /// finite. outer.threads share the work of large models; the result is the same for any number.
  version_ptr merge(const version_ptr& current, std::span<const merge_input> inputs,
                    double inner_lr);

  /// How many share the work of one update.
  std::size_t threads() const { return threads_; }

  /// Whether the bases of inputs are looked at; otherwise nobody has to keep them.
  bool needs_base() const;

  /// Cosine between a pseudo-gradient, whose norm is given, and the optimizer's momentum, on the
  /// trainable section; NaN if either is zero or the method has none. Looks at delta or read only.
  double cosine_to_momentum(const merge_input& input, double norm) const;

  /// L2 norm of the momentum as cosine_to_momentum() found it; NaN if that was not asked since it
  /// last changed, or the method has none.
  double momentum_norm() const;

  /// The buffers stay as they are for as long as they are held: the next merge goes on in copies.
  merger_state state();

  /// Goes on from a state of a merger with the same layout and configuration; takes over those of
  /// its buffers that nobody else has, and copies the others.
  /// Throws std::invalid_argument, and changes nothing, when names, order or sizes differ.
  void restore(merger_state state);

 private:
  struct step;
  struct workspace;

  void check(const version_ptr& current, std::span<const merge_input> inputs) const;
  void merge_trainable(const step& s, std::size_t first);
  std::span<const float> combine(const step& s, std::size_t first, std::size_t count,
                                 workspace& room);
  void correct(std::size_t first, const parameter_buffer& current, const parameter_buffer& start,
               std::span<float> delta);
  void merge_averaged(const step& s, double share);
  std::vector<std::pair<std::string, buffer_ptr*>> own_buffers();
  void take_back();

  parameter_layout layout_;
  std::unique_ptr<outer_optimizer> optimizer_;
  compensation compensation_;
  std::uint64_t accumulate_;
  bool from_current_;   // stage 2
  double full_weight_;  // that replaces averaged tensors; 0: any weight does
  std::size_t threads_;
  bool streams_;  // results are too large for the caches
  outer_state outer_;
  buffer_ptr pending_sum_;  // nullptr unless outer.accumulate > 1
  std::uint64_t pending_ = 0;
  double pending_weight_ = 0.0;
  bool lent_ = false;  // somebody may be reading the buffers of the state
  buffer_pool pool_;
  mutable std::optional<double> momentum_square_;  // its squared norm, until it changes
};

/// Settings with which a merger takes the plain mean of parameters, as Local SGD does: for groups
/// that average among themselves.
config plain_mean(config c);

}  // namespace rubato
