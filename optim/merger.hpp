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

namespace rubato {

/// One worker's contribution to a merge.
struct merge_input {
  version_ptr delta;    // theta_base - theta_end, of the whole layout's size
  version_ptr base;     // the version the worker started from; may be null unless needs_base()
  double weight = 1.0;  // beside the other inputs; of a single one, a plain factor
};

struct named_buffer {
  std::string name;
  version_ptr values;
};

/// Everything a merger remembers between merges, between two steps of the optimizer too. Saved and
/// restored, it goes on bit for bit.
struct merger_state {
  std::uint64_t updates = 0;  // steps of the optimizer so far: t of the papers
  std::uint64_t pending = 0;  // merges since then that wait for their step
  // The optimizer's (outer_optimizer::buffer_names()), then "pending" (with outer.accumulate > 1:
  // the sum of what waits) and "mean_square" (with adaptive compensation).
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
  /// 2. for methods that measure from the current parameters (mixing): + theta - theta_base;
  /// 3. weights: a single input is multiplied with its own, several are averaged with theirs, in
  ///    the order given;
  /// 4. accumulation: until outer.accumulate merges have come, their sum waits and the result is
  ///    `current` itself; then their mean (each counts 1 / outer.accumulate) goes on;
  /// 5. one step of the optimizer.
  /// Averaged tensors pass through stages 3 and 4 and move by the result:
  /// b' = b - weight (b_base - b_end). Local ones stay.
  /// `inner_lr`: the workers' learning rate at the start of the round, see outer_optimizer::merge.
  /// Throws std::invalid_argument unless there is at least one input, every buffer has
  /// layout.size() floats, bases are there if needs_base(), and the weights of several inputs have
  /// a positive, finite sum.
  version_ptr merge(const version_ptr& current, std::span<const merge_input> inputs,
                    double inner_lr);

  /// Whether the bases of inputs are looked at; otherwise nobody has to keep them.
  bool needs_base() const;

  /// Cosine between a pseudo-gradient and the optimizer's momentum, on the trainable section;
  /// NaN if either is zero or the method has none.
  double cosine_to_momentum(const parameter_buffer& delta) const;

  /// The buffers are the merger's own: the next merge changes them.
  merger_state state() const;

  /// Goes on from a state of a merger with the same layout and configuration; copies its values.
  /// Throws std::invalid_argument, and changes nothing, when names, order or sizes differ.
  void restore(const merger_state& state);

 private:
  void check(const version_ptr& current, std::span<const merge_input> inputs) const;
  void correct(std::size_t first, const parameter_buffer& current, const parameter_buffer& start,
               std::span<float> delta);
  std::span<const float> combine(const parameter_buffer& current,
                                 std::span<const merge_input> inputs);
  bool accumulate(std::span<const float> g);
  std::vector<std::pair<std::string, buffer_ptr>> own_buffers() const;

  parameter_layout layout_;
  std::unique_ptr<outer_optimizer> optimizer_;
  compensation compensation_;
  std::uint64_t accumulate_;
  outer_state outer_;
  buffer_ptr pending_sum_;  // nullptr unless outer.accumulate > 1
  std::uint64_t pending_ = 0;
  buffer_pool pool_;
  parameter_buffer g_;                             // between stages
  mutable std::optional<double> momentum_square_;  // its squared norm, until it changes
};

}  // namespace rubato
