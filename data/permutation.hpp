// Pseudo-random orders without a list of them: where one index goes is computed on its own.
// Not here: what is put in order (the data sets).
#pragma once

#include <array>
#include <cstdint>

#include "config/random.hpp"

namespace rubato {

/// Where `index` < `size` goes in a pseudo-random permutation of 0 ... size-1, one for each
/// (seed, stream, keys). A pure function, the same on every machine; its cost does not grow with
/// `size`.
std::uint64_t permuted(std::uint64_t index, std::uint64_t size, std::uint64_t seed,
                       random_stream stream, const std::array<std::uint64_t, 2>& keys);

}  // namespace rubato
