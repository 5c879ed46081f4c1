// Any set of labelled images as a data set: dealt to shards, gone through in random orders, in
// batches. Not here: where images come from (image_set), and who gets which (label_shards).
#pragma once

#include <memory>
#include <thread>

#include "data/data_use.hpp"
#include "data/dataset.hpp"
#include "data/images/image_set.hpp"
#include "data/images/label_shards.hpp"

namespace rubato {

/// The data set of data.kind = "synthetic-images", "cifar10", "cifar100" and "image-folder".
///
/// The training images are dealt to data.shards shards, as data.split says, each with at least one
/// batch. The held-out images are shuffled and dealt out evenly, whatever the classes a shard
/// trains on: everybody is measured on all classes. Both are the same for all seeds of a run; the
/// orders and the random variants (data.augment) come from run.seed.
class image_dataset final : public dataset {
 public:
  /// Uses data.{batch_size,shards,split,concentration,augment}, evaluate.batches and run.seed, and
  /// so many threads to make the held-out batches, unless it is to train alone. Throws usage_error
  /// if there are too few images, or one that is needed here is of no use and must not be skipped.
  image_dataset(const config& c, std::unique_ptr<image_set> images, std::size_t threads,
                data_use use = data_use::all);

  std::size_t shards() const override { return shards_.size(); }
  shard_info info(std::size_t shard) const override;
  std::uint64_t shard_size(std::size_t shard) const override { return shards_.at(shard).size(); }
  data_shape shape() const override { return shape_; }
  double bytes_per_token() const override { return 0.0; }
  std::int64_t tokens_per_batch() const override { return batch_size_; }

  /// `batch_size` images without replacement: an epoch visits each image of the shard once, in a
  /// pseudo-random order that is new in each epoch; a batch may end one epoch and begin the next.
  /// In the place of an image that turns out to be of no use, the next one of the epoch that is of
  /// use is trained on (the first follows the last), and so twice in that epoch.
  batch training_batch(std::size_t shard, std::uint64_t position) const override;

  /// Up to evaluate.batches batches of the shard's share of held-out images, as they are and in
  /// order; where the share is used up, the last batch may be smaller. They are kept in memory, at
  /// four bytes a value: for images of 224 x 224 pixels, 0.6 MB each.
  const std::vector<batch>& held_out(std::size_t shard) const override {
    return held_out_.at(shard);
  }

  std::vector<baseline> baselines() const override { return {}; }
  std::vector<std::string> notes() const override { return images_->notes(); }
  bool has_slow_batches() const override { return images_->is_slow(); }

 private:
  void hold_out(const config& c, std::size_t threads);
  void write_training_image(std::size_t shard, std::uint64_t sample, batch& b) const;
  std::vector<batch> make_held_out(const std::vector<std::uint32_t>& share,
                                   std::int64_t most_batches) const;

  std::unique_ptr<image_set> images_;
  data_shape shape_;
  std::uint64_t seed_;
  std::int64_t batch_size_;
  bool augment_;
  shard_lists shards_;
  std::vector<std::vector<batch>> held_out_;  // of each shard
};

/// The images that data.kind and data.paths mean, ready for that use, made on so many threads.
/// Throws usage_error if they cannot be used.
std::unique_ptr<image_dataset> make_image_dataset(
    const config& c, std::size_t threads = std::thread::hardware_concurrency(),
    data_use use = data_use::all);

}  // namespace rubato
