// Outer optimizers: how the server turns pseudo-gradients into the next version of the parameters.
// A pseudo-gradient is delta = theta_start - theta_end, fed to the optimizer as if it were a
// gradient. Pure functions on flat buffers: no actors, no LibTorch, no clock.
// Not here: the methods themselves (one .cpp each, listed in methods.hpp), weights and staleness.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/registration.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

struct merge_block;

/// Everything an outer optimizer remembers between merges. Plain data, so that it can be saved at
/// any moment (also with a half-full buffer) and loaded bit for bit. A copy shares the buffers.
struct outer_state {
  std::uint64_t updates = 0;        // merges so far: t of the papers
  std::vector<buffer_ptr> buffers;  // one per name in outer_optimizer::buffer_names()
};

/// An outer method with its hyper-parameters. Immutable, so safe to share between threads as long
/// as each state and theta_next has one user at a time.
class outer_optimizer {
 public:
  virtual ~outer_optimizer() = default;

  /// The name used in `outer.optimizer`.
  virtual std::string_view name() const = 0;

  /// Names of the state buffers, in order ("momentum", "accumulated"); empty for plain SGD.
  virtual std::vector<std::string_view> buffer_names() const = 0;

  /// Fresh state (zeros) for `size` floats.
  outer_state initial_state(std::size_t size) const;

  /// The state's momentum, for the cosine that is logged; nullptr when the method has none.
  const parameter_buffer* momentum_of(const outer_state& state) const;

  /// True when g is to be theta - theta_end, the way from the current parameters to a worker's,
  /// instead of the pseudo-gradient theta_start - theta_end. They differ by what the server has
  /// merged since the worker started.
  virtual bool measures_from_current() const { return false; }

  /// False when merge number t (from 0) leaves the momentum as it is, so that what was computed
  /// from it stays good.
  virtual bool renews_momentum(std::uint64_t /*t*/) const { return true; }

  /// theta' and state' from theta, state and the (already weighted) pseudo-gradient g.
  /// `inner_lr`: gamma, the workers' learning rate at the start of the round that gave g; only
  /// slowmo looks at it, and throws std::invalid_argument unless it is positive and finite.
  /// All spans have the size the state was made for; theta_next may not overlap theta or g.
  /// state is updated in place. Elementwise: bit-identical for any split of the buffer and any
  /// alignment; NaN and infinity propagate, zero padding stays zero.
  /// Throws std::invalid_argument, and changes nothing, when sizes do not match.
  void merge(std::span<const float> theta, outer_state& state, std::span<const float> g,
             std::span<float> theta_next, double inner_lr) const;

  /// The same for elements [first, first + theta.size()) only, for who takes a merge in pieces:
  /// theta, g and theta_next are as long as the piece, pieces may be taken by several threads at
  /// once, and state.updates is the caller's to raise when all are done. Nothing is checked.
  void merge_piece(std::size_t first, std::span<const float> theta, const outer_state& state,
                   std::span<const float> g, std::span<float> theta_next, double inner_lr) const;

 private:
  /// The method's formula on one block (merge_block.hpp).
  virtual void update(merge_block& block) const = 0;
};

/// The optimizer that `outer` names. `workers` stands in for buffer = 0.
/// Throws usage_error for an unknown name, listing the known ones, and for hyper-parameters that
/// the method does not allow.
std::unique_ptr<outer_optimizer> make_outer_optimizer(const config::outer_section& outer,
                                                      std::int64_t workers);

/// The same for a whole config, which may name a registered one.
std::unique_ptr<outer_optimizer> make_outer_optimizer(const config& c);

/// Throws usage_error for hyper-parameters that the method does not allow.
using outer_optimizer_maker = std::function<std::unique_ptr<outer_optimizer>(const config&)>;

/// Makes a method one of `outer.optimizer`; see add_choice() for what is thrown, and when.
void register_outer_optimizer(const own_choice& choice, outer_optimizer_maker make);

}  // namespace rubato
