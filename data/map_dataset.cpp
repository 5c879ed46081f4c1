#include "data/map_dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "config/error.hpp"
#include "config/random.hpp"
#include "data/permutation.hpp"

namespace rubato {
namespace {

// In place of the run's: runs with different seeds hold the same examples out.
constexpr std::uint64_t split_seed = 0;

registry<map_dataset_maker>& registered_datasets() {
  static registry<map_dataset_maker> all("data.kind");
  return all;
}

/// Draws batches from a map_dataset. Each part's examples are put in an order that only the data
/// decides on; the first of it are held out, the others are the shard.
class sampled_dataset final : public dataset {
 public:
  sampled_dataset(std::unique_ptr<map_dataset> examples, const config& c, data_use use)
      : examples_(std::move(examples)),
        kind_(c.data.kind),
        seed_(static_cast<std::uint64_t>(c.run.seed)),
        batch_size_(c.data.batch_size) {
    std::uint64_t first = 0;
    for (auto& part : examples_->parts()) {
      if (part.size < 2) {
        throw usage_error(fmt::format(
            "data.kind = \"{}\": shard \"{}\" has {} examples, of which one is to be held out and "
            "one to train on",
            kind_, part.name, part.size));
      }
      const auto held = std::llround(c.data.held_out * static_cast<double>(part.size));
      shards_.push_back(
          {std::move(part.name), first, part.size,
           std::clamp<std::uint64_t>(static_cast<std::uint64_t>(held), 1, part.size - 1)});
      first += part.size;
    }
    if (shards_.empty() || first != examples_->size()) {
      throw usage_error(fmt::format("data.kind = \"{}\": its {} parts have {} examples, not all {}",
                                    kind_, shards_.size(), first, examples_->size()));
    }
    const auto any = get({number(0, shards_[0].held_out)});
    tokens_per_batch_ = any.tokens.empty() ? batch_size_ : batch_size_ * any.length;
    held_out_.resize(shards_.size());
    for (std::size_t shard = 0; use == data_use::all && shard < shards_.size(); ++shard) {
      held_out_[shard] = make_held_out(shard, c.evaluate.batches);
    }
  }

  std::size_t shards() const override { return shards_.size(); }

  shard_info info(std::size_t shard) const override {
    shard_info result;
    result.name = shards_.at(shard).name;
    result.training_size = shard_size(shard);
    result.held_out_size = shards_.at(shard).held_out;
    return result;
  }

  std::uint64_t shard_size(std::size_t shard) const override {
    return shards_.at(shard).size - shards_.at(shard).held_out;
  }

  data_shape shape() const override { return examples_->shape(); }
  double bytes_per_token() const override { return 0.0; }

  std::int64_t tokens_per_batch() const override { return tokens_per_batch_; }

  batch training_batch(std::size_t shard, std::uint64_t position) const override {
    const auto size = static_cast<std::uint64_t>(batch_size_);
    const auto epoch = shard_size(shard);
    std::vector<std::uint64_t> numbers;
    for (auto sample = position * size; sample < (position + 1) * size; ++sample) {
      const auto place = permuted(sample % epoch, epoch, seed_, random_stream::training_samples,
                                  {shard, sample / epoch});
      numbers.push_back(number(shard, shards_[shard].held_out + place));
    }
    return get(numbers);
  }

  const std::vector<batch>& held_out(std::size_t shard) const override {
    return held_out_.at(shard);
  }

  std::vector<baseline> baselines() const override { return {}; }

 private:
  struct shard_range {
    std::string name;
    std::uint64_t first;  // example
    std::uint64_t size;   // with what is held out
    std::uint64_t held_out;
  };

  /// The example at a place of the part's order, of which the beginning is held out.
  std::uint64_t number(std::size_t shard, std::uint64_t place) const {
    const auto& range = shards_[shard];
    return range.first +
           permuted(place, range.size, split_seed, random_stream::held_out_split, {shard, 0});
  }

  std::vector<batch> make_held_out(std::size_t shard, std::int64_t most_batches) const {
    const auto size = static_cast<std::uint64_t>(batch_size_);
    const auto count =
        std::min(shards_[shard].held_out, size * static_cast<std::uint64_t>(most_batches));
    std::vector<batch> batches;
    for (std::uint64_t done = 0; done < count; done += size) {
      std::vector<std::uint64_t> numbers;
      for (auto place = done; place < std::min(done + size, count); ++place) {
        numbers.push_back(number(shard, place));
      }
      batches.push_back(get(numbers));
    }
    return batches;
  }

  /// What a learner would take for something else is refused here, by name.
  batch get(const std::vector<std::uint64_t>& numbers) const {
    auto b = examples_->get(numbers);
    if (b.examples == static_cast<std::int64_t>(numbers.size())) return b;
    throw run_error(
        fmt::format("data.kind = \"{}\" was asked for {} examples and gave a batch of {}", kind_,
                    numbers.size(), b.examples));
  }

  std::unique_ptr<map_dataset> examples_;
  std::string kind_;
  std::uint64_t seed_;
  std::int64_t batch_size_;
  std::int64_t tokens_per_batch_ = 0;
  std::vector<shard_range> shards_;
  std::vector<std::vector<batch>> held_out_;  // of each shard
};

}  // namespace

std::vector<map_dataset::part> equal_parts(std::uint64_t size, std::int64_t count) {
  const auto parts = static_cast<std::uint64_t>(count);
  std::vector<map_dataset::part> result;
  for (std::uint64_t i = 0; i < parts; ++i) {
    result.push_back({fmt::format("part {}", i), size / parts + (i < size % parts ? 1 : 0)});
  }
  return result;
}

void register_dataset(own_choice choice, map_dataset_maker make) {
  choice.uses.emplace_back("data.held_out");
  registered_datasets().add(choice, std::move(make));
}

std::unique_ptr<dataset> make_registered_dataset(const config& c, data_use use) {
  const auto* make = registered_datasets().find(c.data.kind);
  if (make == nullptr) return nullptr;
  return std::make_unique<sampled_dataset>((*make)(c), c, use);
}

}  // namespace rubato
