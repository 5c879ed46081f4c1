// A data set and a learner small enough to follow by hand, to run the real actors on without
// LibTorch: a batch is a point drawn from (shard, position), the loss is half the squared distance
// of the parameters to it.
#pragma once

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "config/random.hpp"
#include "data/dataset.hpp"
#include "model/learner.hpp"

namespace rubato::fake {

constexpr std::int64_t dimension = 21;  // not a multiple of 16, so that there is padding

/// In place of a shard: the batch has no finite point.
constexpr std::int32_t poison = -2;

/// In place of a shard: the batch's point is far away from all others.
constexpr std::int32_t far_away = -3;

/// The point that a batch stands for.
inline std::vector<float> point(std::int32_t shard, std::int32_t position) {
  random_generator random(
      3, random_stream::test,
      {static_cast<std::uint64_t>(shard), static_cast<std::uint64_t>(position)});
  std::vector<float> p(dimension);
  for (auto& x : p) x = static_cast<float>(shard) + static_cast<float>(random.normal());
  if (shard == poison) p[7] = std::numeric_limits<float>::quiet_NaN();
  if (shard == far_away) p[7] = 1e6F;
  return p;
}

class points final : public dataset {
 public:
  explicit points(std::size_t shards) : held_out_(shards) {
    for (std::size_t i = 0; i < shards; ++i) {
      held_out_[i].push_back({1, 1, {static_cast<std::int32_t>(i), -1}});
    }
  }

  std::size_t shards() const override { return held_out_.size(); }
  shard_info info(std::size_t shard) const override {
    return {"points " + std::to_string(shard), 1, 0, 1000, 1};
  }
  std::uint64_t shard_size(std::size_t) const override { return 1000; }
  data_shape shape() const override { return {0, 2}; }
  double bytes_per_token() const override { return 1.0; }
  std::int64_t tokens_per_batch() const override { return 1; }
  batch training_batch(std::size_t shard, std::uint64_t position) const override {
    if (shard == failing_shard) throw std::runtime_error("the disk is on fire");
    if (shard == 0 && position == poisoned_position) return {1, 1, {poison, 0}};
    if (shard == 0 && position == far_away_position) return {1, 1, {far_away, 0}};
    return {1, 1, {static_cast<std::int32_t>(shard), static_cast<std::int32_t>(position)}};
  }
  const std::vector<batch>& held_out(std::size_t shard) const override {
    if (failing_held_out) throw std::runtime_error("no held-out data");
    std::this_thread::sleep_for(held_out_delay);
    return held_out_[shard];
  }
  std::vector<baseline> baselines() const override { return {}; }

  std::size_t failing_shard = static_cast<std::size_t>(-1);
  bool failing_held_out = false;
  std::chrono::milliseconds held_out_delay{0};
  std::uint64_t poisoned_position = static_cast<std::uint64_t>(-1);  // of shard 0: NaN
  std::uint64_t far_away_position = static_cast<std::uint64_t>(-1);  // of shard 0

 private:
  std::vector<std::vector<batch>> held_out_;
};

class quadratic final : public learner {
 public:
  /// Called before each gradient; may sleep or throw.
  using disturbance = std::function<void()>;

  explicit quadratic(disturbance disturb = {})
      : layout_(make_layout()),
        parameters_(layout_.size()),
        gradient_(layout_.size()),
        disturb_(std::move(disturb)) {}

  const parameter_layout& layout() const override { return layout_; }
  std::span<float> parameters() override { return parameters_.span(); }
  std::span<float> gradient() override { return gradient_.span(); }

  double compute_gradient(const batch& b) override {
    if (disturb_) disturb_();
    return distance(b, true);
  }
  /// Infinite far from the point, where a real model's would overflow.
  evaluation_sums evaluate(const batch& b) override {
    const double loss = distance(b, false);
    return {loss < 1e30 ? loss : std::numeric_limits<double>::infinity(), 1, 0};
  }
  void update_statistics(const batch& /*b*/, double /*share*/) override {}

 private:
  static parameter_layout make_layout() {
    parameter_layout layout;
    layout.add("first", {5});
    layout.add("second", {dimension - 5});
    return layout;
  }

  double distance(const batch& b, bool differentiate) {
    const auto target = point(b.tokens[0], b.tokens[1]);
    double sum = 0.0;
    std::size_t i = 0;
    for (const auto& tensor : layout_.tensors()) {
      for (std::size_t j = 0; j < tensor.size; ++j, ++i) {
        const float difference = parameters_.data()[tensor.offset + j] - target[i];
        if (differentiate) gradient_.data()[tensor.offset + j] = difference;
        sum += 0.5 * difference * difference;
      }
    }
    return sum;
  }

  parameter_layout layout_;
  parameter_buffer parameters_;
  parameter_buffer gradient_;
  disturbance disturb_;
};

/// A learner with a tensor of each section. The loss is half the squared distance of its one weight
/// to 10; the averaged and the local tensor count gradients, each on from what it was set to.
class counter : public learner {
 public:
  static constexpr std::size_t averaged_at = 16;  // in its buffer
  static constexpr std::size_t local_at = 32;

  counter() : parameters_(layout_.size()), gradient_(layout_.size()) {}

  const parameter_layout& layout() const override { return layout_; }
  std::span<float> parameters() override { return parameters_.span(); }
  std::span<float> gradient() override { return gradient_.span(); }

  double compute_gradient(const batch& b) override {
    gradient_.data()[0] = parameters_.data()[0] - 10.0F;
    parameters_.data()[averaged_at] += 1.0F;
    parameters_.data()[local_at] += 1.0F;
    return evaluate(b).loss;
  }
  evaluation_sums evaluate(const batch& /*b*/) override {
    const double distance = double{parameters_.data()[0]} - 10.0;
    return {0.5 * distance * distance, 1, 0};
  }
  void update_statistics(const batch& /*b*/, double /*share*/) override {}

 private:
  static parameter_layout make_layout() {
    parameter_layout layout;
    layout.add("weight", {1});
    layout.add("averaged", {1}, section::averaged);
    layout.add("local", {1}, section::local);
    return layout;
  }

  parameter_layout layout_ = make_layout();
  parameter_buffer parameters_;
  parameter_buffer gradient_;
};

}  // namespace rubato::fake
