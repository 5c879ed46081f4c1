// Which shard a worker trains on next, and from where. Counts what has been given out, so that a
// position is never used twice and idle workers do not all draw the same shard.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "config/random.hpp"
#include "coordination/types.hpp"

namespace rubato {

class shard_pool {
 public:
  /// `weights`: |D_i| of each shard, or 1 for each when shards count equally; all positive.
  explicit shard_pool(std::vector<double> weights);

  std::size_t size() const { return weights_.size(); }

  /// |D_i| / sum_j |D_j|.
  double share(shard_id shard) const { return weights_[shard]; }

  /// p_i proportional to max(|D_i|/sum|D_j| - n_i/sum n_j, 0), Eq 2 of Liu et al. 2024; n_i is
  /// the work learned or in flight. Where the formula gives all zeros, p_i is the shard's share.
  std::vector<double> probabilities() const;

  /// Draws a shard by probabilities().
  shard_id draw(random_generator& random) const;

  /// One of the shards with the fewest rounds given out, each as likely.
  shard_id draw_least_visited(random_generator& random) const;

  /// Gives out the next `steps` batches of a shard, which count as learned from now on. Returns
  /// the position of the first: also the number of steps of the shard's schedule given out before.
  std::uint64_t reserve(shard_id shard, std::uint32_t steps);

  /// A round was lost or rejected: its work no longer counts in n_i. The span stays used.
  void refund(shard_id shard, std::uint32_t steps);

  /// What was given out; see coordinator::restore.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  std::vector<double> weights_;          // normalised
  std::vector<std::uint64_t> position_;  // batches given out, never reused
  std::vector<std::uint64_t> visits_;    // rounds given out
  std::vector<std::uint64_t> learned_;   // n_i
  std::uint64_t learned_sum_ = 0;
};

}  // namespace rubato
