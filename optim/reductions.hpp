// Sums over flat buffers whose result does not depend on threads, alignment or instruction set:
// fixed blocks, fixed accumulators in double, added in order. All functions are pure and
// thread-safe, and throw std::invalid_argument when sizes do not match.
// Not here: anything that moves parameters (outer_optimizer.hpp).
#pragma once

#include <span>

namespace rubato {

/// The sum of x_j squared; 0 for an empty span. NaN and infinity propagate.
double sum_of_squares(std::span<const float> x);

/// The sum of x_j y_j; 0 for empty spans. Both have one size.
double dot(std::span<const float> x, std::span<const float> y);

/// True when no element is NaN or infinite.
bool all_finite(std::span<const float> x);

/// out = sum_i weight_i * x_i / sum_i weight_i, in double, added in the order given. All spans have
/// one size and out overlaps none; at least one input; a positive, finite sum of weights.
void weighted_mean(std::span<const std::span<const float>> inputs, std::span<const double> weights,
                   std::span<float> out);

}  // namespace rubato
