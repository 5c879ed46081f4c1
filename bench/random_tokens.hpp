// A data set of random tokens with any vocabulary: for measurements of how long a step takes, for
// which it does not matter what the tokens say. Not here: data to learn from (data/).
#pragma once

#include <vector>

#include "data/dataset.hpp"

namespace rubato {

class random_tokens final : public dataset {
 public:
  /// Uses model.sequence_length, data.batch_size and run.seed.
  random_tokens(const config& c, std::int64_t vocabulary);

  std::size_t shards() const override { return 1; }
  shard_info info(std::size_t) const override;
  std::uint64_t shard_size(std::size_t) const override { return size; }
  data_shape shape() const override { return {0, vocabulary_}; }
  double bytes_per_token() const override { return 1.0; }
  std::int64_t tokens_per_batch() const override { return batch_size_ * length_; }
  batch training_batch(std::size_t shard, std::uint64_t position) const override;
  const std::vector<batch>& held_out(std::size_t) const override { return held_out_; }
  std::vector<baseline> baselines() const override { return {}; }

 private:
  static constexpr std::uint64_t size = std::uint64_t{1} << 32;

  std::uint64_t seed_;
  std::int64_t vocabulary_;
  std::int64_t batch_size_;
  std::int64_t length_;
  std::vector<batch> held_out_;
};

}  // namespace rubato
