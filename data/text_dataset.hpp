// Text as bytes: files into shards, near-duplicates out, whole files held out, windows sampled.
// The text is held in memory, once. Not here: reading files (text_files) and what counts as a
// near-duplicate (near_duplicates).
#pragma once

#include <string>
#include <string_view>

#include "data/dataset.hpp"
#include "data/windows.hpp"

namespace rubato {

/// The data set of data.kind = "text". Tokens are the bytes as they are, whatever the encoding.
///
/// The shards are a function of the contents of the files alone, not of their names, places or
/// order, and not of run.seed:
/// - with data.deduplicate, a file that is a near-duplicate of other files, in whichever shard, is
///   left out; of equal files in two shards the one in the earlier shard stays;
/// - whole files are held out, picked by a hash of their content, so that they hold a share of
///   data.held_out of the shard's bytes as nearly as whole files allow; at least one file is held
///   out and one is not;
/// - the files of a part are joined in the order of that hash, with a zero byte after each, which
///   does not occur in text and so shows a model where one ends.
class text_dataset final : public dataset {
 public:
  /// Reads and splits the files that data.paths names; uses model.sequence_length,
  /// data.{batch_size,deduplicate,held_out,shard_weights}, evaluate.batches and run.seed.
  /// Throws usage_error, naming the shard, for input that is missing, empty, unreadable or too
  /// short.
  explicit text_dataset(const config& c);

  std::size_t shards() const override { return shards_.size(); }
  shard_info info(std::size_t shard) const override { return shards_.at(shard).info; }
  std::uint64_t shard_size(std::size_t shard) const override;
  data_shape shape() const override { return {0, 256}; }
  double bytes_per_token() const override { return 1.0; }
  std::int64_t tokens_per_batch() const override { return plan_.batch_size * plan_.length; }

  /// `batch_size` windows without replacement, see training_windows().
  batch training_batch(std::size_t shard, std::uint64_t position) const override;

  /// Up to evaluate.batches batches, see held_out_windows().
  const std::vector<batch>& held_out(std::size_t shard) const override;

  /// "unigram" and "order-2": byte models that see none and two of the bytes before (ngram.hpp).
  std::vector<baseline> baselines() const override;

  /// The training part of a shard.
  std::string_view training_text(std::size_t shard) const { return shards_.at(shard).training; }

 private:
  struct shard_data {
    shard_info info;
    std::string training;
    std::vector<batch> held_out;
  };

  window_plan plan_;
  std::vector<shard_data> shards_;
  std::vector<double> weights_;  // of the shards, see shard_weights()
  double total_size_ = 0.0;      // of all training texts
};

}  // namespace rubato
