// Normal noise in bulk, for data that is made up: fast, and the same bits on every machine. The log
// and cos behind random_generator::normal() are the C library's, whose last bits may differ.
#pragma once

#include <span>

#include "config/random.hpp"

namespace rubato {

/// Overwrites `values` with independent numbers from the standard normal distribution, none of them
/// beyond 9.4. Takes from `random` as much as it needs, which varies.
void fill_normal(random_generator& random, std::span<float> values);

}  // namespace rubato
