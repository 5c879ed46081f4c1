// What an outer method's update() sees: a short piece of every buffer, as Eigen arrays, so that a
// method is written as its formula and all its statements find their operands in the L1 cache.
// For the methods' .cpp files only; everybody else calls outer_optimizer::merge.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "optim/parameter_buffer.hpp"

namespace rubato {

/// Elements [first, first + theta.size()) of one merge. Blocks are independent of each other.
struct merge_block {
  std::uint64_t t;  // merges before this one
  double inner_lr;  // gamma: the workers' learning rate, see outer_optimizer::merge
  Eigen::Map<const Eigen::ArrayXf> theta;
  Eigen::Map<const Eigen::ArrayXf> g;
  Eigen::Map<Eigen::ArrayXf> theta_next;
  std::span<const buffer_ptr> buffers;
  std::size_t first;

  /// The block's piece of the state buffer at `index` of outer_optimizer::buffer_names().
  Eigen::Map<Eigen::ArrayXf> state(std::size_t index) const {
    return {buffers[index]->data() + first, theta.size()};
  }
};

/// Elementwise square root, correctly rounded. Eigen's own sqrt() is an approximation on SSE and
/// AVX, which differs between processors and, within a block, from the elements at its end.
template <typename Expression>
auto exact_sqrt(const Expression& x) {
  return x.unaryExpr([](float value) { return std::sqrt(value); });
}

}  // namespace rubato
