#include "data/permutation.hpp"

#include <bit>
#include <utility>

namespace rubato {

// A Feistel network permutes the numbers below the next power of 4; what it sends out of range is
// sent on until it is in range again.
std::uint64_t permuted(std::uint64_t index, std::uint64_t size, std::uint64_t seed,
                       random_stream stream, const std::array<std::uint64_t, 2>& keys) {
  constexpr std::uint64_t rounds = 4;
  const int half = (std::bit_width(size - 1) + 1) / 2;
  const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
  do {
    std::uint64_t left = index >> half;
    std::uint64_t right = index & mask;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      random_generator random(seed, stream, {keys[0], keys[1], round, right});
      left = std::exchange(right, left ^ (random() & mask));
    }
    index = left << half | right;
  } while (index >= size);
  return index;
}

}  // namespace rubato
