// The parts of a batch that are computed at once (inner.micro_batch). Internal to model/.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rubato {

/// Examples of a batch.
struct micro_batch {
  std::int64_t first;
  std::int64_t count;
};

/// Calls `compute` with each part of a batch of so many examples, in order; `at_once` as in
/// inner.micro_batch.
template <class Function>
void for_each_micro_batch(std::int64_t examples, std::int64_t at_once, Function compute) {
  if (at_once <= 0) at_once = examples;
  for (std::int64_t first = 0; first < examples; first += at_once) {
    compute(micro_batch{first, std::min(at_once, examples - first)});
  }
}

}  // namespace rubato
