// What an evaluation makes of a model's sums: means over shards, and when it measures statistics
// first. No actors and no networks.
#include "actors/evaluator.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

using namespace rubato;

namespace {

/// Two shards, whose batches are told apart by their labels: training batch i of shard s has
/// 100 s + i, held-out batch i has 1000 + 100 s + i.
class numbered_batches final : public dataset {
 public:
  explicit numbered_batches(const data_shape& shape) : shape_(shape) {
    for (std::int32_t shard = 0; shard < 2; ++shard) {
      auto& batches = held_out_.emplace_back();
      for (std::int32_t i = 0; i < 3; ++i) batches.push_back(numbered(1000 + 100 * shard + i));
    }
  }

  std::size_t shards() const override { return held_out_.size(); }
  shard_info info(std::size_t) const override { return {}; }
  std::uint64_t shard_size(std::size_t) const override { return 1; }
  data_shape shape() const override { return shape_; }
  double bytes_per_token() const override { return 0.0; }
  std::int64_t tokens_per_batch() const override { return 1; }
  batch training_batch(std::size_t shard, std::uint64_t position) const override {
    return numbered(static_cast<std::int32_t>(100 * shard + position));
  }
  const std::vector<batch>& held_out(std::size_t shard) const override {
    return held_out_.at(shard);
  }
  std::vector<baseline> baselines() const override { return {}; }

 private:
  static batch numbered(std::int32_t number) {
    batch b;
    b.examples = 1;
    b.labels = {number};
    return b;
  }

  data_shape shape_;
  std::vector<std::vector<batch>> held_out_;
};

/// Notes what it is asked for, in order. Each batch has 10 targets: of shard 0 a loss of 20, 4 and
/// 8 are correct (top-5), of shard 1 a loss of 40, 2 and 6.
class noting_model final : public learner {
 public:
  explicit noting_model(section statistics) {
    layout_.add("weight", {1});
    layout_.add("statistic", {1}, statistics);
  }

  const parameter_layout& layout() const override { return layout_; }
  std::span<float> parameters() override { return {}; }
  std::span<float> gradient() override { return {}; }
  double compute_gradient(const batch&) override { return 0.0; }
  evaluation_sums evaluate(const batch& b) override {
    evaluated.push_back(b.labels.front());
    if (with_metrics) return {20.0, 10, 0, 0, {{"accuracy", b.labels.front() < 1100 ? 5.0 : 1.0}}};
    if (b.labels.front() < 1100) return {20.0, 10, 4, 8};
    return {40.0, 10, 2, 6};
  }
  void update_statistics(const batch& b, double share) override {
    CHECK(evaluated.empty());
    measured.emplace_back(b.labels.front(), share);
  }

  bool with_metrics = false;
  std::vector<std::int32_t> evaluated;
  std::vector<std::pair<std::int32_t, double>> measured;

 private:
  parameter_layout layout_;
};

constexpr data_shape images{12, 6, 3, 2, 2};

}  // namespace

TEST_CASE("loss and accuracies are means over shards by their weights") {
  const numbered_batches data(images);
  noting_model model(section::averaged);
  evaluation result;
  evaluate_held_out(model, data, {0.75, 0.25}, "all", result);
  CHECK(result.loss == doctest::Approx(0.75 * 2.0 + 0.25 * 4.0));
  CHECK(result.accuracy == doctest::Approx(0.75 * 0.4 + 0.25 * 0.2));
  CHECK(result.top5 == doctest::Approx(0.75 * 0.8 + 0.25 * 0.6));
  CHECK(result.perplexity == doctest::Approx(std::exp(2.5)));
  CHECK(result.shard_loss == std::vector<double>{2.0, 4.0});
  CHECK(model.evaluated == std::vector<std::int32_t>{1000, 1001, 1002, 1100, 1101, 1102});
  CHECK(model.measured.empty());

  model.evaluated.clear();
  evaluate_held_out(model, data, {0.75, 0.25}, "b", result);
  CHECK(model.evaluated == std::vector<std::int32_t>{1001, 1101});
}

TEST_CASE("there is no top-5 accuracy without images or with five classes") {
  noting_model model(section::averaged);
  evaluation result;
  for (const data_shape& shape : {data_shape{12, 5, 3, 2, 2}, data_shape{12, 6}}) {
    evaluate_held_out(model, numbered_batches(shape), {0.5, 0.5}, "all", result);
    CHECK(std::isnan(result.top5));
    CHECK(result.accuracy == doctest::Approx(0.3));
  }
}

TEST_CASE("metrics are means over shards by their weights, and tell the accuracy of tensors") {
  noting_model model(section::averaged);
  evaluation result;
  const numbered_batches tensors(data_shape{.tensors = 2});
  evaluate_held_out(model, tensors, {0.75, 0.25}, "all", result);
  CHECK(result.metrics.empty());
  CHECK(std::isnan(result.accuracy));
  model.with_metrics = true;
  for (int time = 0; time < 2; ++time) {  // what was there before does not count
    evaluate_held_out(model, tensors, {0.75, 0.25}, "all", result);
    CHECK(result.metrics.at("accuracy") == doctest::Approx(0.75 * 0.5 + 0.25 * 0.1));
    CHECK(result.accuracy == result.metrics.at("accuracy"));
  }
}

TEST_CASE("local statistics are measured on training batches of every shard before they are used") {
  const numbered_batches data(images);
  noting_model model(section::local);
  evaluation result;
  evaluate_held_out(model, data, {0.5, 0.5}, "all", result);
  REQUIRE(model.measured.size() == 6);
  const std::int32_t expected[] = {0, 1, 2, 100, 101, 102};
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(model.measured[i].first == expected[i]);
    // The mean of all, whatever was there before: the first replaces it.
    CHECK(model.measured[i].second == 1.0 / static_cast<double>(i + 1));
  }
  CHECK(model.evaluated.size() == 6);
}
