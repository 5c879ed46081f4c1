// What an outer method's update() sees: a short piece of every buffer, as Eigen arrays, so that a
// method is written as its formula and all its statements find their operands in the L1 cache. What
// is assigned to a piece is computed in the instruction set in use (config/instruction_set.hpp).
// For the methods' .cpp files only; everybody else calls outer_optimizer::merge.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "config/instruction_set.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// A piece of a buffer that is written to. Eigen's own assignment goes in steps of as many floats
/// as the compiler was told of when Eigen was included; this one has the compiler make steps for
/// each instruction set out of the formula for one element.
class written_piece : public Eigen::Map<Eigen::ArrayXf> {
 public:
  using map = Eigen::Map<Eigen::ArrayXf>;
  using map::map;
  written_piece(const written_piece&) = default;

  /// An expression may have this very piece in it, but no other that overlaps.
  template <class Expression>
  written_piece& operator=(const Eigen::ArrayBase<Expression>& values) {
    vectorised([to = data(), count = size(), formula = values.derived()] {
      const Eigen::internal::evaluator<Expression> value(formula);
      RUBATO_ELEMENTWISE
      for (Eigen::Index i = 0; i < count; ++i) to[i] = value.coeff(i);
    });
    return *this;
  }
  written_piece& operator=(const written_piece& values) {
    return *this = static_cast<const map&>(values);
  }

  template <class Expression>
  written_piece& operator+=(const Eigen::ArrayBase<Expression>& values) {
    return *this = *this + values;
  }
};

/// Elements [first, first + theta.size()) of one merge. Blocks are independent of each other.
struct merge_block {
  std::uint64_t t;  // merges before this one
  double inner_lr;  // gamma: the workers' learning rate, see outer_optimizer::merge
  Eigen::Map<const Eigen::ArrayXf> theta;
  Eigen::Map<const Eigen::ArrayXf> g;
  written_piece theta_next;
  std::span<const buffer_ptr> buffers;
  std::size_t first;

  /// The block's piece of the state buffer at `index` of outer_optimizer::buffer_names().
  written_piece state(std::size_t index) const {
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
