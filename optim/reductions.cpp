#include "optim/reductions.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "config/instruction_set.hpp"
#include "config/parallel.hpp"

namespace rubato {

namespace {

// Both numbers are part of the results: they fix the order of a sum's additions.
constexpr std::size_t block_size = reduction_block;
constexpr std::size_t lanes = 16;

// Element j of a block goes to accumulator j % 16, so that every instruction set can keep the
// accumulators in its registers and still add in this very order. The product of two floats is
// exact in double: a fused multiply-add would give the same sum.
double dot_in_order(const float* x, const float* y, std::size_t count) {
  std::array<double, lanes> sums{};
  std::size_t first = 0;
  for (; first + lanes <= count; first += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      sums[lane] += static_cast<double>(x[first + lane]) * static_cast<double>(y[first + lane]);
    }
  }
  for (std::size_t lane = 0; first + lane < count; ++lane) {
    sums[lane] += static_cast<double>(x[first + lane]) * static_cast<double>(y[first + lane]);
  }
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

double block_dot(const float* x, const float* y, std::size_t count) {
  return vectorised([=] { return dot_in_order(x, y, count); });
}

/// The sum of what of_block(first, count) returns for each block, in their order.
template <class OfBlock>
double sum_over_blocks(std::size_t size, std::size_t threads, const OfBlock& of_block) {
  const auto of = [&](std::size_t block) {
    const std::size_t first = block * block_size;
    return of_block(first, std::min(block_size, size - first));
  };
  const std::size_t blocks = (size + block_size - 1) / block_size;
  double total = 0.0;
  if (threads == 1) {
    for (std::size_t block = 0; block < blocks; ++block) total += of(block);
    return total;
  }
  std::vector<double> sums(blocks);
  in_parallel(blocks, threads, [&](std::size_t block) { sums[block] = of(block); });
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

double sum_of_squares(std::span<const float> x, std::size_t threads) {
  return dot(x, x, threads);
}

double dot(std::span<const float> x, std::span<const float> y, std::size_t threads) {
  if (x.size() != y.size()) throw std::invalid_argument("dot: the spans differ in size");
  return sum_over_blocks(x.size(), threads, [&](std::size_t first, std::size_t count) {
    return block_dot(x.data() + first, y.data() + first, count);
  });
}

double dot(const value_reader& x, std::span<const float> y, std::size_t threads) {
  return sum_over_blocks(y.size(), threads, [&](std::size_t first, std::size_t count) {
    alignas(register_bytes) std::array<float, block_size> values;
    x(first, std::span(values).first(count));
    return block_dot(values.data(), y.data() + first, count);
  });
}

bool all_finite(std::span<const float> x) {
  constexpr std::uint32_t exponent = 0x7f800000;  // all ones in NaN and infinity only
  for (std::size_t first = 0; first < x.size(); first += block_size) {
    const bool finite =
        vectorised([=, block = x.subspan(first, std::min(block_size, x.size() - first))] {
          std::uint32_t found = 0;
          for (const float value : block) {
            found |= (std::bit_cast<std::uint32_t>(value) & exponent) == exponent ? 1 : 0;
          }
          return found == 0;
        });
    if (!finite) return false;
  }
  return true;
}

value_facts facts_of(const value_reader& x, std::size_t size, std::size_t threads) {
  std::atomic<bool> finite{true};
  const double sum = sum_over_blocks(size, threads, [&](std::size_t first, std::size_t count) {
    alignas(register_bytes) std::array<float, block_size> room;
    const auto values = std::span(room).first(count);
    x(first, values);
    if (!all_finite(values)) finite = false;
    return block_dot(values.data(), values.data(), count);
  });
  return {sum, finite};
}

void weighted_mean(std::span<const std::span<const float>> inputs, std::span<const double> weights,
                   std::span<float> out) {
  if (inputs.empty()) throw std::invalid_argument("weighted_mean: there is no input");
  if (inputs.size() != weights.size()) {
    throw std::invalid_argument("weighted_mean: inputs and weights differ in number");
  }
  double total_weight = 0.0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].size() != out.size()) {
      throw std::invalid_argument("weighted_mean: the spans differ in size");
    }
    total_weight += weights[i];
  }
  if (!(total_weight > 0.0) || !std::isfinite(total_weight)) {
    throw std::invalid_argument("weighted_mean: the sum of weights must be positive and finite");
  }

  // Elementwise, so the size of a piece is free; this one stays in the L1 cache.
  alignas(register_bytes) std::array<double, 1024> room;
  for (std::size_t first = 0; first < out.size(); first += room.size()) {
    const std::size_t count = std::min(room.size(), out.size() - first);
    vectorised([=, sums = room.data(), mean = out.data() + first] {
      std::fill_n(sums, count, 0.0);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const double weight = weights[i];
        const float* x = inputs[i].data() + first;
        RUBATO_ELEMENTWISE
        for (std::size_t j = 0; j < count; ++j) sums[j] += weight * static_cast<double>(x[j]);
      }
      RUBATO_ELEMENTWISE
      for (std::size_t j = 0; j < count; ++j) mean[j] = static_cast<float>(sums[j] / total_weight);
    });
  }
}

}  // namespace rubato
