// Training on tensors of any content, which stay in their files: what a model of one's own is
// given. Not here: the files (tensor_file), and what the model makes of them (model/).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/data_use.hpp"
#include "data/dataset.hpp"
#include "data/tensors/tensor_file.hpp"

namespace rubato {

/// The data set of data.kind = "tensors".
///
/// A `.safetensors` file, or the `.npy` files of a folder, are a part: some examples, of which each
/// tensor that data.tensors names has a row, its first dimension. With data.split = "files" each
/// entry of data.paths is a shard; otherwise the examples of all of them are shuffled and dealt to
/// data.shards shards, of sizes that differ by one at most. In both cases data.held_out of the
/// examples, picked at random, are never trained on; or those of data.held_out_paths are evaluated
/// on, dealt evenly to the shards. All of this is the same for all seeds of a
/// run; only the order in which a shard is gone through comes from run.seed.
class tensor_dataset final : public dataset {
 public:
  /// Opens the files that data.paths names; uses
  /// data.{tensors,batch_size,held_out,held_out_paths,shards,split}, evaluate.batches and run.seed.
  /// To train alone it opens none of data.held_out_paths.
  /// Throws usage_error naming file and tensor: missing, damaged, of another type or shape than
  /// elsewhere, or of another number of examples; or saying that there are too few of these.
  explicit tensor_dataset(const config& c, data_use use = data_use::all);

  std::size_t shards() const override { return shards_.size(); }
  shard_info info(std::size_t shard) const override;
  std::uint64_t shard_size(std::size_t shard) const override {
    return shards_.at(shard).training.size;
  }
  data_shape shape() const override;
  double bytes_per_token() const override { return 0.0; }
  std::int64_t tokens_per_batch() const override { return batch_size_; }

  /// `batch_size` examples without replacement: an epoch visits each example of the shard once, in
  /// a pseudo-random order that is new in each epoch; a batch may end one epoch and begin the next.
  batch training_batch(std::size_t shard, std::uint64_t position) const override;

  /// Up to evaluate.batches whole batches, or one of fewer examples if there are not enough for
  /// one. They are kept in memory.
  const std::vector<batch>& held_out(std::size_t shard) const override {
    return shards_.at(shard).held_out;
  }

  /// "x F32 [2], y I64 []", of an example.
  std::string content() const override;

  std::vector<baseline> baselines() const override { return {}; }

 private:
  /// Of one tensor, in whatever part.
  struct row_shape {
    element_type type = element_type::f32;
    std::vector<std::int64_t> extents;  // without the first
    std::size_t size = 0;               // in bytes
    std::string first;                  // where it was first found, for people

    bool operator==(const row_shape& other) const {
      return type == other.type && extents == other.extents;
    }
  };

  struct part {
    std::vector<const std::byte*> values;  // of each tensor
    std::uint64_t end = 0;                 // of its examples, counted through the pool
  };

  /// Examples that are shuffled together.
  struct pool {
    std::vector<part> parts;
    std::uint64_t files = 0;
    std::uint64_t size() const { return parts.empty() ? 0 : parts.back().end; }
  };

  /// Some examples of a pool, one behind the other in its order.
  struct stretch {
    std::size_t pool = 0;
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
  };

  struct shard_data {
    std::string name;
    stretch training;
    stretch evaluated;
    std::vector<batch> held_out;
  };

  void add_files(const std::vector<std::string>& entries, const std::string& where, pool& to);
  part open_part(const std::vector<std::string>& paths);
  void deal(std::size_t pool, std::size_t shards, double held_out);
  void deal_held_out(std::size_t pool);
  void make_held_out(shard_data& shard, std::int64_t most_batches) const;
  void name_last_shard(const std::vector<std::string>& entries);
  static stretch share_of(std::size_t pool, std::uint64_t begin, std::uint64_t size, std::size_t i,
                          std::size_t parts);
  batch empty_batch(std::int64_t examples) const;
  void write_example(std::size_t pool, std::uint64_t place, std::int64_t row, batch& b) const;

  std::uint64_t seed_;
  std::int64_t batch_size_;
  std::vector<std::string> names_;  // of the tensors, as the model takes them
  std::vector<row_shape> rows_;     // of each
  std::vector<tensor_file> files_;
  std::vector<pool> pools_;
  std::vector<shard_data> shards_;
};

}  // namespace rubato
