// Made-up points in classes: the toy of Liu et al. 2024, a mixture of Gaussians in which no cluster
// can be told by few coordinates. The points are held in memory, once, as f32.
// Not here: the noise itself (normal), and the order of an epoch (permutation).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "data/dataset.hpp"

namespace rubato {

/// The data set of data.kind = "gaussian-mixtures".
///
/// data.clusters centres are drawn from a normal distribution and brought to length 1; a point is a
/// centre plus normal noise of deviation data.noise in each of its data.dimension coordinates. The
/// first clusters / classes clusters are class 0, the next ones class 1, and so on. Each cluster
/// has floor(points / clusters) points to train on; all of them together are shuffled and dealt to
/// data.shards shards of equal size, and the fewer than `shards` that are left over are not used.
///
/// Centres, points, shards and held-out points are a function of the data options alone, not of
/// run.seed, so that runs with different seeds are comparable; only the order in which a shard is
/// gone through depends on the seed. The same bits on every machine and any number of threads.
class gaussian_mixtures final : public dataset {
 public:
  /// Draws all points, on so many threads (0 counts as 1). Uses
  /// data.{dimension,clusters,classes,noise,points,shards,batch_size}, evaluate.{batches,on} and
  /// run.seed. Throws usage_error if classes differ in size or a shard would be empty.
  explicit gaussian_mixtures(const config& c,
                             std::size_t threads = std::thread::hardware_concurrency());

  std::size_t shards() const override { return held_out_.size(); }
  shard_info info(std::size_t shard) const override;
  std::uint64_t shard_size(std::size_t /*shard*/) const override { return shard_size_; }
  data_shape shape() const override;
  double bytes_per_token() const override { return 0.0; }
  std::int64_t tokens_per_batch() const override { return batch_size_; }

  /// `batch_size` points without replacement: an epoch visits each point of the shard once, in a
  /// pseudo-random order that is new in each epoch; a batch may end one epoch and begin the next.
  batch training_batch(std::size_t shard, std::uint64_t position) const override;

  /// evaluate.batches batches. With evaluate.on = "held-out" of points that no shard has, others
  /// for each shard, from all clusters in turn; with "training" of points of the shard, picked at
  /// random once, or of all of them if there are no more (the last batch may then be smaller).
  const std::vector<batch>& held_out(std::size_t shard) const override;

  std::vector<baseline> baselines() const override { return {}; }

 private:
  std::uint64_t seed_;
  std::int64_t batch_size_;
  std::int64_t classes_;
  std::size_t dimension_;
  bool evaluates_on_training_;
  std::uint64_t shard_size_ = 0;              // of every shard
  std::unique_ptr<float[]> features_;         // [shard][point][coordinate]
  std::vector<std::int32_t> labels_;          // [shard][point]
  std::vector<std::vector<batch>> held_out_;  // of each shard
};

}  // namespace rubato
