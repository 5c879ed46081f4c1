#include "data/images/image_dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "config/error.hpp"
#include "config/parallel.hpp"
#include "config/random.hpp"
#include "data/images/cifar.hpp"
#include "data/images/image_folder.hpp"
#include "data/images/synthetic_images.hpp"
#include "data/permutation.hpp"

namespace rubato {
namespace {

/// Which images are dealt out evenly; keeps their shuffles apart.
enum deal : std::uint64_t { training, held_out };

std::unique_ptr<image_set> make_images(const config& c, std::size_t threads, data_use use) {
  if (c.data.kind == "synthetic-images") return std::make_unique<synthetic_images>(c);
  if (c.data.kind == "image-folder") return std::make_unique<image_folder>(c, threads, use);
  if (c.data.kind == "cifar10" || c.data.kind == "cifar100") return read_cifar(c, use);
  throw usage_error(fmt::format("data.kind = \"{}\" is not a kind of data set", c.data.kind));
}

}  // namespace

image_dataset::image_dataset(const config& c, std::unique_ptr<image_set> images,
                             std::size_t threads, data_use use)
    : images_(std::move(images)),
      shape_(images_->shape()),
      seed_(static_cast<std::uint64_t>(c.run.seed)),
      batch_size_(c.data.batch_size),
      augment_(c.data.augment) {
  const auto shards = static_cast<std::size_t>(c.data.shards);
  const auto at_least = static_cast<std::size_t>(c.data.batch_size);
  const auto& labels = images_->labels(image_part::training);
  if (labels.size() < shards * at_least) {
    throw usage_error(
        fmt::format("data.shards = {} with data.batch_size = {} take at least {} images to train "
                    "on, but there are {}",
                    shards, at_least, shards * at_least, labels.size()));
  }
  shards_ = c.data.split == "iid" ? split_evenly(labels.size(), shards, deal::training)
                                  : split_by_label(labels, static_cast<std::size_t>(shape_.classes),
                                                   shards, c.data.concentration, at_least);
  held_out_.resize(shards);
  if (use == data_use::all) hold_out(c, threads);
}

void image_dataset::hold_out(const config& c, std::size_t threads) {
  const auto shards = held_out_.size();
  const auto evaluated = images_->labels(image_part::held_out).size();
  if (evaluated < shards) {
    throw usage_error(
        fmt::format("data.shards = {} takes as many images to evaluate on, but there "
                    "are {}",
                    shards, evaluated));
  }
  const auto shares = split_evenly(evaluated, shards, deal::held_out);
  in_parallel(shards, std::max<std::size_t>(threads, 1), [&](std::size_t shard) {
    held_out_[shard] = make_held_out(shares[shard], c.evaluate.batches);
  });
  for (std::size_t shard = 0; shard < shards; ++shard) {
    if (!held_out_[shard].empty()) continue;
    throw usage_error(
        fmt::format("data.paths: none of the {} images that shard {} has to evaluate "
                    "on can be used; {}",
                    shares[shard].size(), shard, notes().front()));
  }
}

std::vector<batch> image_dataset::make_held_out(const std::vector<std::uint32_t>& share,
                                                std::int64_t most_batches) const {
  const auto& labels = images_->labels(image_part::held_out);
  const auto values = static_cast<std::size_t>(shape_.features);
  std::vector<batch> batches;
  std::vector<float> picture(values);
  for (const auto index : share) {
    const bool full = batches.empty() || batches.back().examples == batch_size_;
    if (full && static_cast<std::int64_t>(batches.size()) == most_batches) break;
    if (!images_->write(image_part::held_out, index, nullptr, picture.data())) continue;
    if (full) batches.push_back({0, shape_.features});
    auto& b = batches.back();
    b.features.insert(b.features.end(), picture.begin(), picture.end());
    b.labels.push_back(labels[index]);
    ++b.examples;
  }
  return batches;
}

shard_info image_dataset::info(std::size_t shard) const {
  shard_info result;
  result.name = fmt::format("images {}", shard);
  result.training_size = shard_size(shard);
  for (const auto& b : held_out(shard)) result.held_out_size += b.labels.size();
  return result;
}

batch image_dataset::training_batch(std::size_t shard, std::uint64_t position) const {
  const auto size = static_cast<std::uint64_t>(batch_size_);
  batch result{batch_size_, shape_.features};
  result.features.resize(size * static_cast<std::size_t>(shape_.features));
  result.labels.reserve(size);
  for (auto sample = position * size; sample < (position + 1) * size; ++sample) {
    write_training_image(shard, sample, result);
  }
  return result;
}

/// Appends the shard's `sample`-th image, counted through all epochs.
void image_dataset::write_training_image(std::size_t shard, std::uint64_t sample, batch& b) const {
  const auto& list = shards_.at(shard);
  float* const values =
      b.features.data() + b.labels.size() * static_cast<std::size_t>(shape_.features);
  for (std::uint64_t passed_over = 0; passed_over < list.size(); ++passed_over) {
    const auto place = permuted((sample + passed_over) % list.size(), list.size(), seed_,
                                random_stream::training_samples, {shard, sample / list.size()});
    random_generator random(seed_, random_stream::image_augmentation, {shard, sample});
    const auto index = list[place];
    if (images_->write(image_part::training, index, augment_ ? &random : nullptr, values)) {
      b.labels.push_back(images_->labels(image_part::training)[index]);
      return;
    }
  }
  throw usage_error(fmt::format("data.paths: none of the {} images of shard {} can be used; {}",
                                list.size(), shard, notes().front()));
}

std::unique_ptr<image_dataset> make_image_dataset(const config& c, std::size_t threads,
                                                  data_use use) {
  threads = std::max<std::size_t>(threads, 1);
  return std::make_unique<image_dataset>(c, make_images(c, threads, use), threads, use);
}

}  // namespace rubato
