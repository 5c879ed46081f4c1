// The perceptron, through the learner's interface, against LibTorch's own modules in double
// precision.
#include <torch/torch.h>
// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "data/gaussian_mixtures.hpp"
#include "model/learner.hpp"
#include "optim/inner_optimizer.hpp"

using namespace rubato;

namespace {

constexpr data_shape shape{21, 5};  // features, classes
constexpr std::int64_t width = 13;

config small() {
  config c;
  c.data.kind = "gaussian-mixtures";
  c.model.kind = "mlp";
  c.model.width = width;
  return c;
}

batch random_points(std::int64_t examples, std::int64_t features = shape.features) {
  random_generator random(2, random_stream::test);
  batch b;
  b.examples = examples;
  b.length = features;
  for (std::int64_t i = 0; i < examples * features; ++i) {
    b.features.push_back(static_cast<float>(random.normal()));
  }
  for (std::int64_t i = 0; i < examples; ++i) {
    b.labels.push_back(static_cast<std::int32_t>(random.below(shape.classes)));
  }
  return b;
}

/// The model as one would write it in PyTorch.
class oracle {
 public:
  explicit oracle(learner& model)
      : hidden_(shape.features, width),
        output_(width, shape.classes),
        network_(hidden_, torch::nn::ReLU(), output_) {
    network_->to(torch::kDouble);
    const torch::NoGradGuard no_gradient;
    for (const tensor_entry& tensor : model.layout().tensors()) {
      parameter(tensor.name)
          .copy_(torch::from_blob(model.parameters().data() + tensor.offset, tensor.shape));
    }
  }

  torch::Tensor& parameter(const std::string& name) {
    auto& module = name.starts_with("hidden.") ? hidden_ : output_;
    return name.ends_with(".weight") ? module->weight : module->bias;
  }

  torch::Tensor logits(const batch& b) {
    const auto points = torch::tensor(b.features, torch::kDouble).view({b.examples, b.length});
    return network_->forward(points);
  }

  torch::Tensor mean_loss(const batch& b) {
    return torch::nn::functional::cross_entropy(logits(b), labels(b));
  }

  static torch::Tensor labels(const batch& b) {
    return torch::tensor(std::vector<std::int64_t>(b.labels.begin(), b.labels.end()));
  }

 private:
  torch::nn::Linear hidden_;
  torch::nn::Linear output_;
  torch::nn::Sequential network_;
};

std::unique_ptr<learner> initialized(const config& c, const data_shape& data = shape) {
  auto model = make_learner_factory(c, data)();
  initialize_parameters(c, *model);
  return model;
}

}  // namespace

TEST_CASE("a perceptron's loss, hits and gradient are those of LibTorch's modules") {
  const auto model = initialized(small());
  for (const std::int64_t examples : {1, 2, 32}) {
    CAPTURE(examples);
    oracle expected(*model);
    const auto b = random_points(examples);
    const auto sums = model->evaluate(b);
    const auto loss = expected.mean_loss(b);
    CHECK(sums.targets == examples);
    CHECK(sums.correct ==
          expected.logits(b).argmax(1).eq(oracle::labels(b)).sum().item<std::int64_t>());
    CHECK(sums.loss / static_cast<double>(examples) ==
          doctest::Approx(loss.item<double>()).epsilon(1e-6));
    CHECK(model->compute_gradient(b) == doctest::Approx(loss.item<double>()).epsilon(1e-6));

    loss.backward();
    for (const tensor_entry& tensor : model->layout().tensors()) {
      CAPTURE(tensor.name);
      const auto ours =
          torch::from_blob(model->gradient().data() + tensor.offset, tensor.shape, torch::kFloat);
      const auto theirs = expected.parameter(tensor.name).grad();
      CHECK(theirs.abs().max().item<double>() > 1e-3);
      CHECK((ours - theirs).abs().max().item<double>() < 1e-6);
    }
  }
}

TEST_CASE("a perceptron's gradient is the slope of the loss") {
  const auto model = initialized(small());
  const auto b = random_points(32);
  model->compute_gradient(b);
  oracle expected(*model);
  const torch::NoGradGuard no_gradient;
  random_generator random(4, random_stream::test);
  for (const tensor_entry& tensor : model->layout().tensors()) {
    CAPTURE(tensor.name);
    auto values = expected.parameter(tensor.name).view(-1);
    for (int k = 0; k < 5; ++k) {
      const auto i = static_cast<std::int64_t>(random.below(tensor.size));
      CAPTURE(i);
      constexpr double step = 1e-6;
      const auto loss_at = [&](double offset) {
        values[i] += offset;
        const double loss = expected.mean_loss(b).item<double>();
        values[i] -= offset;
        return loss;
      };
      const double slope = (loss_at(step) - loss_at(-step)) / (2 * step);
      const float ours = model->gradient()[tensor.offset + static_cast<std::size_t>(i)];
      CHECK(std::abs(ours - slope) < 1e-6);
    }
  }
}

TEST_CASE("the toy's perceptron has the parameters of two linear layers") {
  auto c = small();
  c.model.width = 128;
  const auto model = make_learner_factory(c, {512, 4})();
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const tensor_entry& tensor : model->layout().tensors()) shapes[tensor.name] = tensor.shape;
  const std::map<std::string, std::vector<std::int64_t>> expected = {{"hidden.weight", {128, 512}},
                                                                     {"hidden.bias", {128}},
                                                                     {"output.weight", {4, 128}},
                                                                     {"output.bias", {4}}};
  CHECK(shapes == expected);
  CHECK(model->layout().count(section::trainable) == 66180);
}

TEST_CASE("a perceptron starts as LibTorch's modules do, the same everywhere, from the seed") {
  auto c = small();
  c.model.width = 400;
  const data_shape data{100, 50};
  const auto model = initialized(c, data);
  torch::manual_seed(1);
  const torch::nn::Linear hidden(100, 400);
  const torch::nn::Linear output(400, 50);
  const std::map<std::string, torch::Tensor> theirs = {{"hidden.weight", hidden->weight},
                                                       {"hidden.bias", hidden->bias},
                                                       {"output.weight", output->weight},
                                                       {"output.bias", output->bias}};
  for (const tensor_entry& tensor : model->layout().tensors()) {
    CAPTURE(tensor.name);
    const auto ours = torch::from_blob(model->parameters().data() + tensor.offset, tensor.shape);
    const double limit = tensor.name.starts_with("hidden.") ? 0.1 : 0.05;
    const auto n = static_cast<double>(tensor.size);
    for (const auto& values : {ours, theirs.at(tensor.name)}) {
      // Five standard deviations of a uniform distribution's mean and mean square.
      CHECK(values.abs().max().item<double>() <= limit * (1 + 1e-6));
      CHECK(values.abs().max().item<double>() > limit * (1 - 10 / n));
      CHECK(std::abs(values.mean().item<double>()) < 5 * limit / std::sqrt(3 * n));
      CHECK(std::abs(values.square().mean().item<double>() - limit * limit / 3) <
            5 * limit * limit * std::sqrt(4 / (45 * n)));
    }
  }

  const auto hash = [&] { return parameters_sha256(model->layout(), model->parameters()); };
  // A constant: another value means that no earlier result can be repeated.
  CHECK(hash() == "8fa3ad1f81ece70c471146cca858a2d954b3928bd2199688ba6d9afd503392e7");
  std::fill(model->parameters().begin(), model->parameters().end(), 7.0F);
  const auto before = hash();
  initialize_parameters(c, *model);
  const auto first = hash();
  CHECK(first != before);
  c.run.seed = 2;
  initialize_parameters(c, *model);
  CHECK(hash() != first);
}

TEST_CASE("the same points give a perceptron the same bits, in any learner and thread") {
  const auto c = small();
  const auto factory = make_learner_factory(c, shape);
  const auto b = random_points(32);
  const auto compute = [&](learner& model) {
    const double loss = model.compute_gradient(b);
    std::vector<float> result(model.gradient().begin(), model.gradient().end());
    result.push_back(static_cast<float>(loss));
    return result;
  };
  const auto expected = compute(*initialized(c));
  std::vector<std::vector<float>> results(3);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      const auto model = initialized(c);
      for (int i = 0; i < 20; ++i) {
        model->compute_gradient(random_points(3));  // leaves no trace
        result = compute(*model);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) {
    REQUIRE(result.size() == expected.size());
    CHECK(std::memcmp(result.data(), expected.data(), expected.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("a perceptron learns to tell the classes of a mixture apart") {
  auto c = small();
  c.data.dimension = 32;
  c.data.clusters = 16;
  c.data.noise = 0.2;
  c.data.points = 4096;
  c.data.shards = 1;
  c.data.batch_size = 32;
  c.evaluate.batches = 16;
  c.model.width = 32;
  const gaussian_mixtures data(c);
  const auto model = initialized(c, data.shape());
  const auto accuracy = [&] {
    double correct = 0;
    double targets = 0;
    for (const auto& b : data.held_out(0)) {
      const auto sums = model->evaluate(b);
      correct += static_cast<double>(sums.correct);
      targets += static_cast<double>(sums.targets);
    }
    return correct / targets;
  };
  CHECK(accuracy() < 0.45);  // 4 classes
  const auto optimizer = make_inner_optimizer(c.inner, model->layout());
  inner_state state;
  for (std::uint64_t step = 0; step < 300; ++step) {
    model->compute_gradient(data.training_batch(0, step));
    optimizer->step(model->parameters(), model->gradient(), state, 0.003);
  }
  CHECK(accuracy() > 0.9);
}

TEST_CASE("a batch that does not fit a perceptron is refused") {
  const auto model = initialized(small());
  auto b = random_points(3);
  b.labels[1] = 5;
  CHECK_THROWS_WITH_AS(model->compute_gradient(b), "learner: label 5 is not one of the 5 classes",
                       std::invalid_argument);
  b.labels[1] = -1;
  CHECK_THROWS_AS(model->evaluate(b), std::invalid_argument);
  CHECK_THROWS_WITH_AS(model->evaluate(random_points(3, 20)),
                       "learner: a batch of 3 points of length 20 with 60 features and 3 labels; "
                       "points must have 21 features and one label each",
                       std::invalid_argument);
  CHECK_THROWS_AS(model->evaluate(random_points(0)), std::invalid_argument);
  b = random_points(3);
  b.labels.pop_back();
  CHECK_THROWS_AS(model->compute_gradient(b), std::invalid_argument);
  b = random_points(3);
  b.features.pop_back();
  CHECK_THROWS_AS(model->compute_gradient(b), std::invalid_argument);

  batch tokens;
  tokens.examples = 1;
  tokens.length = 21;
  tokens.tokens.resize(22);
  CHECK_THROWS_WITH_AS(model->evaluate(tokens),
                       "learner: a batch of 1 points of length 21 with 0 features and 0 labels; "
                       "points must have 21 features and one label each",
                       std::invalid_argument);
  CHECK_NOTHROW(model->compute_gradient(random_points(3)));
}

TEST_CASE("a transformer refuses a batch of points") {
  config c;
  c.model.layers = 1;
  c.model.width = 8;
  c.model.heads = 1;
  const auto model = make_learner_factory(c, {0, 256})();
  CHECK_THROWS_WITH_AS(model->evaluate(random_points(3)),
                       "learner: a batch of 3 examples of length 21 with 0 tokens; examples must "
                       "have 1 to 128 and one more token",
                       std::invalid_argument);
}

TEST_CASE("a model is refused where the data is not of its kind") {
  auto c = small();
  CHECK_THROWS_WITH_AS(
      make_learner_factory(c, {21, 1}),
      "data.kind = \"gaussian-mixtures\" gives 1 tokens or classes to tell apart; a "
      "model needs at least 2",
      usage_error);
  c.data.kind = "text";
  CHECK_THROWS_WITH_AS(make_learner_factory(c, {0, 256}),
                       "model.kind = \"mlp\" takes points, but data.kind = \"text\" gives tokens",
                       usage_error);
  c = config();
  c.data.kind = "gaussian-mixtures";
  CHECK_THROWS_WITH_AS(make_learner_factory(c, shape),
                       "model.kind = \"transformer\" takes tokens, but data.kind = "
                       "\"gaussian-mixtures\" gives points",
                       usage_error);
}
