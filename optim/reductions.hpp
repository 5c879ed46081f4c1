// Sums over flat buffers whose result does not depend on threads, alignment or instruction set:
// fixed blocks, fixed accumulators in double, added in order. All functions are pure and
// thread-safe, and throw std::invalid_argument when sizes do not match. `threads` (at least 1)
// share the work. Not here: anything that moves parameters (outer_optimizer.hpp).
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace rubato {

/// Values that do not lie in memory: writes elements [first, first + out.size()). Called by several
/// threads at once; must not throw.
using value_reader = std::function<void(std::size_t first, std::span<float> out)>;

/// Elements that a reader is asked for at a time, from a multiple of it on; fewer at the end.
inline constexpr std::size_t reduction_block = 4096;

/// The sum of x_j squared; 0 for an empty span. NaN and infinity propagate.
double sum_of_squares(std::span<const float> x, std::size_t threads = 1);

/// The sum of x_j y_j; 0 for empty spans. Both have one size.
double dot(std::span<const float> x, std::span<const float> y, std::size_t threads = 1);
/// The same for y.size() elements of x.
double dot(const value_reader& x, std::span<const float> y, std::size_t threads = 1);

/// True when no element is NaN or infinite.
bool all_finite(std::span<const float> x);

/// Both at once, in one pass over `size` elements.
struct value_facts {
  double sum_of_squares = 0.0;
  bool finite = true;
};
value_facts facts_of(const value_reader& x, std::size_t size, std::size_t threads = 1);

/// out = sum_i weight_i * x_i / sum_i weight_i, in double, added in the order given. All spans have
/// one size and out overlaps none; at least one input; a positive, finite sum of weights.
void weighted_mean(std::span<const std::span<const float>> inputs, std::span<const double> weights,
                   std::span<float> out);

}  // namespace rubato
