// Training on a corpus of token shards that `rubato data prepare` has made. The shards stay in
// their files, which the system reads as batches need them. Not here: making the corpus (corpus/).
#pragma once

#include <string>
#include <vector>

#include "data/data_use.hpp"
#include "data/dataset.hpp"
#include "data/tokens/manifest.hpp"
#include "data/tokens/token_shard.hpp"
#include "data/windows.hpp"

namespace rubato {

/// The data set of data.kind = "tokens". Its shards, and what is held out of them, are those of the
/// corpus; documents follow one another, each with the token that ends it, and windows may go
/// across. Sizes are in bytes of text, a document's end counted as one.
class token_dataset final : public dataset {
 public:
  /// Opens the corpus in the folder that data.paths names; uses model.sequence_length,
  /// data.batch_size, evaluate.batches and run.seed. To train alone it opens no file of what is
  /// held out. Throws usage_error naming the file: missing, damaged or too short.
  explicit token_dataset(const config& c, data_use use = data_use::all);

  std::size_t shards() const override { return shards_.size(); }
  shard_info info(std::size_t shard) const override { return shards_.at(shard).info; }
  std::uint64_t shard_size(std::size_t shard) const override {
    return shards_.at(shard).info.training_size;
  }
  data_shape shape() const override { return {0, static_cast<std::int64_t>(corpus_.vocabulary)}; }

  /// Of what is held out, in all shards together: evaluations are what it is used for.
  double bytes_per_token() const override { return bytes_per_token_; }
  std::int64_t tokens_per_batch() const override { return plan_.batch_size * plan_.length; }

  /// `batch_size` windows without replacement, see training_windows().
  batch training_batch(std::size_t shard, std::uint64_t position) const override;

  /// Up to evaluate.batches batches, see held_out_windows().
  const std::vector<batch>& held_out(std::size_t shard) const override {
    return shards_.at(shard).held_out;
  }

  /// None: byte models would not be told the same text.
  std::vector<baseline> baselines() const override { return {}; }

 private:
  struct shard_data {
    shard_info info;
    token_shard training;
    std::vector<batch> held_out;
  };

  window_plan plan_;
  manifest corpus_;
  std::vector<shard_data> shards_;
  double bytes_per_token_ = 0.0;
};

}  // namespace rubato
