#include "data/gaussian_mixtures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "config/error.hpp"
#include "config/parallel.hpp"
#include "config/random.hpp"
#include "data/normal.hpp"
#include "data/permutation.hpp"

namespace rubato {
namespace {

// In place of the run's: runs with different seeds share the mixture and its points.
constexpr std::uint64_t data_seed = 0;

/// What is drawn from the stream synthetic_data; the first of its keys.
enum draw : std::uint64_t { centre, training_point, held_out_point, order };

/// Centres, noise and classes: what points are drawn from.
class mixture {
 public:
  explicit mixture(const config::data_section& options)
      : clusters_(static_cast<std::uint64_t>(options.clusters)),
        clusters_per_class_(static_cast<std::uint64_t>(options.clusters / options.classes)),
        dimension_(static_cast<std::size_t>(options.dimension)),
        noise_(static_cast<float>(options.noise)),
        centres_(clusters_ * dimension_) {
    for (std::uint64_t k = 0; k < clusters_; ++k) {
      const std::span values(centres_.data() + k * dimension_, dimension_);
      random_generator random(data_seed, random_stream::synthetic_data, {draw::centre, k});
      fill_normal(random, values);
      double squares = 0;
      for (const double x : values) squares += x * x;
      for (float& x : values) x = static_cast<float>(x / std::sqrt(squares));
    }
  }

  /// Draws the n-th training or held-out point, whose cluster is n modulo their number; returns its
  /// class.
  std::int32_t point(draw which, std::uint64_t n, float* values) const {
    const auto cluster = n % clusters_;
    random_generator random(data_seed, random_stream::synthetic_data, {which, n});
    fill_normal(random, {values, dimension_});
    const float* const middle = centres_.data() + cluster * dimension_;
    for (std::size_t i = 0; i < dimension_; ++i) values[i] = middle[i] + noise_ * values[i];
    return static_cast<std::int32_t>(cluster / clusters_per_class_);
  }

 private:
  std::uint64_t clusters_;
  std::uint64_t clusters_per_class_;
  std::size_t dimension_;
  float noise_;
  std::vector<float> centres_;  // [cluster][coordinate]
};

/// Room for `count` points in batches of up to `batch_size`.
std::vector<batch> empty_batches(std::int64_t count, std::int64_t batch_size,
                                 std::size_t dimension) {
  std::vector<batch> batches;
  for (std::int64_t done = 0; done < count; done += batch_size) {
    auto& b = batches.emplace_back();
    b.examples = std::min(batch_size, count - done);
    b.length = static_cast<std::int64_t>(dimension);
    b.features.resize(static_cast<std::size_t>(b.examples) * dimension);
    b.labels.resize(static_cast<std::size_t>(b.examples));
  }
  return batches;
}

}  // namespace

gaussian_mixtures::gaussian_mixtures(const config& c, std::size_t threads)
    : seed_(static_cast<std::uint64_t>(c.run.seed)),
      batch_size_(c.data.batch_size),
      classes_(c.data.classes),
      dimension_(static_cast<std::size_t>(c.data.dimension)),
      evaluates_on_training_(c.evaluate.on == "training") {
  const auto& d = c.data;
  threads = std::max<std::size_t>(threads, 1);
  if (d.clusters % d.classes != 0) {
    throw usage_error(fmt::format("data.clusters = {} is not a multiple of data.classes = {}",
                                  d.clusters, d.classes));
  }
  const auto total = static_cast<std::uint64_t>(d.points / d.clusters * d.clusters);
  const auto shards = static_cast<std::uint64_t>(d.shards);
  shard_size_ = total / shards;
  if (shard_size_ == 0) {
    throw usage_error(
        fmt::format("data.points = {} makes {} for each of the {} clusters, {} in all, but each of "
                    "the {} shards needs one; set data.points higher or data.shards lower",
                    d.points, d.points / d.clusters, d.clusters, total, shards));
  }

  const mixture from(d);
  const auto rows = shards * shard_size_;
  features_ = std::make_unique_for_overwrite<float[]>(rows * dimension_);
  labels_.resize(rows);
  in_parallel(rows, threads, [&](std::size_t row) {
    const auto n = permuted(row, total, data_seed, random_stream::synthetic_data, {draw::order, 0});
    labels_[row] = from.point(draw::training_point, n, features_.get() + row * dimension_);
  });

  const auto wanted = c.evaluate.batches * batch_size_;
  const auto count =
      evaluates_on_training_ ? std::min(wanted, static_cast<std::int64_t>(shard_size_)) : wanted;
  held_out_.assign(shards, empty_batches(count, batch_size_, dimension_));
  const auto per_shard = static_cast<std::size_t>(count);
  in_parallel(shards * per_shard, threads, [&](std::size_t n) {
    const auto shard = n / per_shard;
    const auto number = n % per_shard;
    auto& b = held_out_[shard][number / static_cast<std::size_t>(batch_size_)];
    const auto row = number % static_cast<std::size_t>(batch_size_);
    float* const values = b.features.data() + row * dimension_;
    if (evaluates_on_training_) {
      // A shard's first points are as good a random pick as any: they are shuffled.
      const auto source = shard * shard_size_ + number;
      std::copy_n(features_.get() + source * dimension_, dimension_, values);
      b.labels[row] = labels_[source];
    } else {
      b.labels[row] = from.point(draw::held_out_point, n, values);
    }
  });
}

shard_info gaussian_mixtures::info(std::size_t shard) const {
  shard_info result;
  result.name = fmt::format("mixture {}", shard);
  result.training_size = shard_size_;
  if (!evaluates_on_training_) {
    for (const auto& b : held_out(shard)) result.held_out_size += b.labels.size();
  }
  return result;
}

data_shape gaussian_mixtures::shape() const {
  return {static_cast<std::int64_t>(dimension_), classes_};
}

batch gaussian_mixtures::training_batch(std::size_t shard, std::uint64_t position) const {
  batch result;
  result.examples = batch_size_;
  result.length = static_cast<std::int64_t>(dimension_);
  const auto size = static_cast<std::size_t>(batch_size_);
  result.features.reserve(size * dimension_);
  result.labels.reserve(size);
  for (auto sample = position * size; sample < (position + 1) * size; ++sample) {
    const auto place = permuted(sample % shard_size_, shard_size_, seed_,
                                random_stream::training_samples, {shard, sample / shard_size_});
    const auto row = shard * shard_size_ + place;
    const float* const values = features_.get() + row * dimension_;
    result.features.insert(result.features.end(), values, values + dimension_);
    result.labels.push_back(labels_[row]);
  }
  return result;
}

const std::vector<batch>& gaussian_mixtures::held_out(std::size_t shard) const {
  return held_out_.at(shard);
}

}  // namespace rubato
