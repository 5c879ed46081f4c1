#include "data/images/image_dataset.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "config/error.hpp"

using namespace rubato;

namespace {

/// Images of one pixel: 0, 1, 2, ... to train on and -1, -2, ... held out, of three classes in
/// turn; a variant adds a half.
class numbered_images final : public image_set {
 public:
  numbered_images(std::int32_t training, std::int32_t held_out) {
    for (std::int32_t i = 0; i < training; ++i) training_.push_back(i % 3);
    for (std::int32_t i = 0; i < held_out; ++i) held_out_.push_back(i % 3);
  }
  data_shape shape() const override { return {1, 3, 1, 1, 1}; }
  const std::vector<std::int32_t>& labels(image_part part) const override {
    return part == image_part::training ? training_ : held_out_;
  }
  bool write(image_part part, std::size_t index, random_generator* augmentation,
             float* values) const override {
    const auto n = static_cast<float>(index);
    *values = part == image_part::training ? n : -1.0F - n;
    if (augmentation) *values += static_cast<float>(0.5 * augmentation->uniform());
    return true;
  }

 private:
  std::vector<std::int32_t> training_;
  std::vector<std::int32_t> held_out_;
};

config small_config() {
  config c;
  c.data.kind = "cifar10";
  c.data.batch_size = 4;
  c.data.shards = 3;
  c.data.augment = false;
  c.evaluate.batches = 2;
  return c;
}

image_dataset dataset_of(const config& c, std::int32_t training = 60, std::int32_t held_out = 40) {
  return {c, std::make_unique<numbered_images>(training, held_out), 1};
}

/// What training goes through in `count` batches.
std::vector<float> trained_on(const image_dataset& data, std::size_t shard, std::uint64_t position,
                              std::uint64_t count) {
  std::vector<float> result;
  for (auto p = position; p < position + count; ++p) {
    const auto b = data.training_batch(shard, p);
    REQUIRE(b.labels.size() == b.features.size());
    for (std::size_t i = 0; i < b.labels.size(); ++i) {
      CHECK(b.labels[i] == static_cast<std::int32_t>(b.features[i]) % 3);
    }
    result.insert(result.end(), b.features.begin(), b.features.end());
  }
  return result;
}

std::string error_of(const config& c, std::int32_t training, std::int32_t held_out) {
  try {
    dataset_of(c, training, held_out);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("an epoch visits each image of a shard once, and epochs and seeds differ in order") {
  auto c = small_config();
  const auto data = dataset_of(c);
  REQUIRE(data.shards() == 3);
  std::set<float> all;
  for (std::size_t shard = 0; shard < 3; ++shard) {
    CHECK(data.shard_size(shard) == 20);
    const auto first = trained_on(data, shard, 0, 5);
    const auto second = trained_on(data, shard, 5, 5);
    CHECK(first != second);
    const std::set<float> seen(first.begin(), first.end());
    CHECK(seen.size() == 20);
    CHECK(seen == std::set<float>(second.begin(), second.end()));
    all.insert(seen.begin(), seen.end());
  }
  CHECK(all.size() == 60);

  c.run.seed = 2;
  const auto other = dataset_of(c);
  CHECK(trained_on(other, 0, 0, 5) != trained_on(data, 0, 0, 5));
  const auto same_shard = trained_on(other, 0, 0, 5);
  for (const float n : trained_on(data, 0, 0, 5)) {
    CHECK(std::count(same_shard.begin(), same_shard.end(), n) == 1);
  }
}

TEST_CASE("variants differ from epoch to epoch and are the same from any thread") {
  auto c = small_config();
  c.data.augment = true;
  const auto data = dataset_of(c);
  const auto expected = trained_on(data, 1, 0, 50);
  CHECK(std::set<float>(expected.begin(), expected.end()).size() == 200);
  std::vector<std::vector<float>> results(4);
  {
    std::vector<std::jthread> threads;
    for (auto& result : results) {
      threads.emplace_back([&] { result = trained_on(data, 1, 0, 50); });
    }
  }
  for (const auto& result : results) CHECK(result == expected);
}

TEST_CASE("held-out images are dealt out evenly, as they are, as many as are evaluated") {
  auto c = small_config();
  c.data.augment = true;
  c.data.split = "dirichlet";
  c.data.concentration = 0.1;
  const auto data = dataset_of(c);
  std::set<float> seen;
  for (std::size_t shard = 0; shard < 3; ++shard) {
    REQUIRE(data.held_out(shard).size() == 2);
    CHECK(data.info(shard).held_out_size == 8);
    CHECK(data.info(shard).training_size == data.shard_size(shard));
    for (const auto& b : data.held_out(shard)) {
      CHECK(b.examples == 4);
      CHECK(b.length == 1);
      for (std::size_t i = 0; i < 4; ++i) {
        CHECK(b.labels[i] == static_cast<std::int32_t>(-1.0F - b.features[i]) % 3);
        seen.insert(b.features[i]);
      }
    }
  }
  CHECK(seen.size() == 24);
  CHECK(*seen.rbegin() < 0);

  // 40 images are 13 or 14 a shard: three full batches and what is left.
  c.evaluate.batches = 100;
  const auto whole = dataset_of(c);
  std::size_t count = 0;
  for (std::size_t shard = 0; shard < 3; ++shard) {
    REQUIRE(whole.held_out(shard).size() == 4);
    CHECK(whole.held_out(shard)[3].examples <= 2);
    count += whole.info(shard).held_out_size;
  }
  CHECK(count == 40);
}

TEST_CASE("held-out batches are the same on any number of threads") {
  const auto c = small_config();
  const auto one = dataset_of(c);
  const image_dataset many(c, std::make_unique<numbered_images>(60, 40), 5);
  for (std::size_t shard = 0; shard < 3; ++shard) {
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(one.held_out(shard)[i].features == many.held_out(shard)[i].features);
    }
  }
}

TEST_CASE("a split by label gives shards of different classes, each with a batch at least") {
  auto c = small_config();
  c.data.split = "dirichlet";
  c.data.concentration = 1e-6;
  const auto data = dataset_of(c, 300);
  std::uint64_t total = 0;
  for (std::size_t shard = 0; shard < 3; ++shard) {
    CHECK(data.shard_size(shard) >= 4);
    total += data.shard_size(shard);
  }
  CHECK(total == 300);
  // Three classes, each in one shard but for what others were filled up with.
  std::map<std::int32_t, int> shards_of_class;
  for (std::size_t shard = 0; shard < 3; ++shard) {
    std::map<std::int32_t, int> counts;
    for (const float n : trained_on(data, shard, 0, data.shard_size(shard) / 4)) {
      ++counts[static_cast<std::int32_t>(n) % 3];
    }
    for (const auto& [label, count] : counts) shards_of_class[label] += count > 8;
  }
  for (const auto& [label, shards] : shards_of_class) CHECK(shards == 1);
}

TEST_CASE("a data set of images says what it is") {
  const auto data = dataset_of(small_config());
  CHECK(data.info(1).name == "images 1");
  CHECK(data.info(1).files == 0);
  CHECK(data.bytes_per_token() == 0.0);
  CHECK(data.tokens_per_batch() == 4);
  CHECK(data.baselines().empty());
  CHECK(data.notes().empty());
  CHECK_FALSE(data.has_slow_batches());
  CHECK(data.shape().channels == 1);

  config c = small_config();
  c.data.kind = "synthetic-images";
  c.data.image_size = 8;
  c.data.points = 64;
  const auto made_up = make_dataset(c);
  CHECK(made_up->shape().features == 192);
  CHECK(made_up->training_batch(0, 0).features.size() == 4 * 192);
  CHECK(made_up->held_out(2).size() == 2);
}

TEST_CASE("too few images are refused with what they are too few for") {
  CHECK(error_of(small_config(), 11, 40) ==
        "data.shards = 3 with data.batch_size = 4 take at least 12 images to train on, but there "
        "are 11");
  CHECK(error_of(small_config(), 12, 2) ==
        "data.shards = 3 takes as many images to evaluate on, but there are 2");
  CHECK(error_of(small_config(), 12, 3) == "no error");
}
