#include "data/windows.hpp"

#include <algorithm>

#include "config/random.hpp"
#include "data/permutation.hpp"

namespace rubato {

std::vector<std::uint64_t> training_windows(const window_plan& plan, std::uint64_t size,
                                            std::uint64_t shard, std::uint64_t position) {
  const auto length = static_cast<std::uint64_t>(plan.length);
  const auto windows = size / length;
  std::vector<std::uint64_t> starts;
  for (std::int64_t row = 0; row < plan.batch_size; ++row) {
    const auto sample = position * static_cast<std::uint64_t>(plan.batch_size) + row;
    const auto epoch = sample / windows;
    const auto window = permuted(sample % windows, windows, plan.seed,
                                 random_stream::training_samples, {shard, epoch});
    random_generator random(plan.seed, random_stream::training_samples, {shard, epoch});
    starts.push_back((random.below(size) + window * length) % size);
  }
  return starts;
}

std::vector<std::uint64_t> held_out_windows(const window_plan& plan, std::uint64_t size,
                                            std::int64_t batches) {
  const auto available = (static_cast<std::int64_t>(size) - 1) / plan.length;
  auto count = std::min(available, batches * plan.batch_size);
  if (count > plan.batch_size) count -= count % plan.batch_size;
  std::vector<std::uint64_t> starts;
  for (std::int64_t i = 0; i < count; ++i) {
    // The same as i * available / count, without a product that may overflow.
    const auto window = available / count * i + available % count * i / count;
    starts.push_back(static_cast<std::uint64_t>(window * plan.length));
  }
  return starts;
}

}  // namespace rubato
