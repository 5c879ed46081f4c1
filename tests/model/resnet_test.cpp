// Residual networks, through the learner's interface, against a construction of LibTorch's own
// modules in double precision.
#include <torch/torch.h>
// LibTorch's logging has a CHECK of its own.
#undef CHECK
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "model/learner.hpp"
#include "model/network.hpp"
#include "optim/inner_optimizer.hpp"

using namespace rubato;
namespace nn = torch::nn;

namespace {

data_shape images_of(std::int64_t size, std::int64_t classes = 7) {
  return {3 * size * size, classes, 3, size, size};
}

config resnet_config(std::int64_t depth, std::int64_t channels) {
  config c;
  c.data.kind = "synthetic-images";
  c.model.kind = "resnet";
  c.model.depth = depth;
  c.model.channels = channels;
  return c;
}

config with_groups(config c, std::int64_t groups) {
  c.model.norm = "group";
  c.model.groups = groups;
  return c;
}

batch random_images(std::int64_t examples, const data_shape& shape, std::uint64_t seed = 2) {
  random_generator random(seed, random_stream::test);
  batch b;
  b.examples = examples;
  b.length = shape.features;
  for (std::int64_t i = 0; i < examples * shape.features; ++i) {
    b.features.push_back(static_cast<float>(random.normal()));
  }
  for (std::int64_t i = 0; i < examples; ++i) {
    b.labels.push_back(
        static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(shape.classes))));
  }
  return b;
}

torch::Tensor labels(const batch& b) {
  return torch::tensor(std::vector<std::int64_t>(b.labels.begin(), b.labels.end()));
}

/// A module of the parent's, as a function.
using layer = std::function<torch::Tensor(const torch::Tensor&)>;

template <class Module>
layer add(nn::Module& parent, const std::string& name, Module module) {
  parent.register_module(name, module);
  return [module](const torch::Tensor& x) mutable { return module->forward(x); };
}

/// The normalisation of a config.
layer add_norm(nn::Module& parent, const std::string& name, std::int64_t channels,
               const config::model_section& options) {
  if (options.norm == "batch") return add(parent, name, nn::BatchNorm2d(channels));
  const auto groups = std::min(options.groups, channels);
  return add(parent, name, nn::GroupNorm(nn::GroupNormOptions(groups, channels)));
}

layer add_convolution(nn::Module& parent, const std::string& name, std::int64_t inputs,
                      std::int64_t outputs, std::int64_t kernel, std::int64_t stride) {
  return add(parent, name,
             nn::Conv2d(nn::Conv2dOptions(inputs, outputs, kernel)
                            .stride(stride)
                            .padding((kernel - 1) / 2)
                            .bias(false)));
}

struct basic_block : nn::Module {
  basic_block(std::int64_t inputs, std::int64_t channels, std::int64_t stride,
              const config::model_section& options)
      : conv1(add_convolution(*this, "conv1", inputs, channels, 3, stride)),
        bn1(add_norm(*this, "bn1", channels, options)),
        conv2(add_convolution(*this, "conv2", channels, channels, 3, 1)),
        bn2(add_norm(*this, "bn2", channels, options)) {}

  torch::Tensor forward(const torch::Tensor& x) { return bn2(conv2(torch::relu(bn1(conv1(x))))); }

  layer conv1, bn1, conv2, bn2;
};

struct bottleneck_block : nn::Module {
  bottleneck_block(std::int64_t inputs, std::int64_t channels, std::int64_t stride,
                   const config::model_section& options)
      : conv1(add_convolution(*this, "conv1", inputs, channels, 1, 1)),
        bn1(add_norm(*this, "bn1", channels, options)),
        conv2(add_convolution(*this, "conv2", channels, channels, 3, stride)),
        bn2(add_norm(*this, "bn2", channels, options)),
        conv3(add_convolution(*this, "conv3", channels, 4 * channels, 1, 1)),
        bn3(add_norm(*this, "bn3", 4 * channels, options)) {}

  torch::Tensor forward(const torch::Tensor& x) {
    return bn3(conv3(torch::relu(bn2(conv2(torch::relu(bn1(conv1(x))))))));
  }

  layer conv1, bn1, conv2, bn2, conv3, bn3;
};

/// A residual network as one would write it with LibTorch's modules, named as in torchvision.
struct plain_resnet : nn::Module {
  plain_resnet(const std::vector<std::int64_t>& blocks, bool bottlenecks, std::int64_t channels,
               const config::model_section& options, const data_shape& shape)
      : large_stem(options.stem == "imagenet") {
    stem = add_convolution(*this, "conv1", shape.channels, channels, large_stem ? 7 : 3,
                           large_stem ? 2 : 1);
    stem_norm = add_norm(*this, "bn1", channels, options);
    auto inputs = channels;
    for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
      const auto parent = std::make_shared<nn::Module>();
      register_module("layer" + std::to_string(stage + 1), parent);
      for (std::int64_t i = 0; i < blocks[stage]; ++i) {
        const auto narrow = channels * (1 << stage);
        const auto wide = bottlenecks ? 4 * narrow : narrow;
        const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
        const auto name = std::to_string(i);
        std::shared_ptr<nn::Module> block;
        if (bottlenecks) {
          auto made = std::make_shared<bottleneck_block>(inputs, narrow, stride, options);
          branches.push_back(add(*parent, name, made));
          block = made;
        } else {
          auto made = std::make_shared<basic_block>(inputs, narrow, stride, options);
          branches.push_back(add(*parent, name, made));
          block = made;
        }
        layer shortcut = [](const torch::Tensor& x) { return x; };
        if (stride != 1 || inputs != wide) {
          const auto both = std::make_shared<nn::Module>();
          block->register_module("downsample", both);
          shortcut = [convolution = add_convolution(*both, "0", inputs, wide, 1, stride),
                      norm = add_norm(*both, "1", wide, options)](const torch::Tensor& x) {
            return norm(convolution(x));
          };
        }
        shortcuts.push_back(shortcut);
        inputs = wide;
      }
    }
    output = add(*this, "fc", nn::Linear(inputs, shape.classes));
  }

  torch::Tensor forward(const torch::Tensor& images) {
    auto x = torch::relu(stem_norm(stem(images)));
    if (large_stem) x = torch::max_pool2d(x, 3, 2, 1);
    for (std::size_t i = 0; i < branches.size(); ++i) {
      x = torch::relu(branches[i](x) + shortcuts[i](x));
    }
    return output(torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }

  bool large_stem;
  layer stem, stem_norm, output;
  std::vector<layer> branches, shortcuts;
};

/// All that have values in the flat buffer, by name.
std::map<std::string, torch::Tensor> tensors_of(const nn::Module& module) {
  std::map<std::string, torch::Tensor> result;
  for (const auto& item : module.named_parameters()) result[item.key()] = item.value();
  for (const auto& item : module.named_buffers()) {
    if (item.key().find("num_batches_tracked") == std::string::npos) {
      result[item.key()] = item.value();
    }
  }
  return result;
}

torch::Tensor view(std::span<float> buffer, const tensor_entry& tensor) {
  return torch::from_blob(buffer.data() + tensor.offset, tensor.shape);
}

/// A small network of ours and of LibTorch's modules, with the same values in all tensors.
struct pair {
  pair(const config& c, const data_shape& shape, const std::vector<std::int64_t>& blocks,
       bool bottlenecks)
      : shape(shape), ours(make_learner_factory(c, shape)()) {
    theirs = std::make_shared<plain_resnet>(blocks, bottlenecks, c.model.channels, c.model, shape);
    theirs->to(torch::kDouble);
    // Nothing is at a special value: all scales are well above 0.
    torch::manual_seed(3);
    const torch::NoGradGuard no_gradient;
    auto tensors = tensors_of(*theirs);
    for (const tensor_entry& tensor : ours->layout().tensors()) {
      auto values = view(ours->parameters(), tensor);
      const bool positive = tensor.name.ends_with("_var") ||
                            (tensor.name.ends_with(".weight") && tensor.shape.size() == 1);
      if (positive) {
        values.copy_(torch::rand(tensor.shape) + 0.5);
      } else {
        const auto inputs = static_cast<double>(tensor.size) / static_cast<double>(tensor.shape[0]);
        values.copy_(torch::randn(tensor.shape) / std::sqrt(inputs));
      }
      tensors.at(tensor.name).copy_(values);
    }
  }

  torch::Tensor logits(const batch& b) {
    return theirs->forward(torch::tensor(b.features, torch::kDouble)
                               .view({b.examples, shape.channels, shape.height, shape.width}));
  }

  data_shape shape;
  std::unique_ptr<learner> ours;
  std::shared_ptr<plain_resnet> theirs;
};

/// The largest difference of a tensor, relative to its largest value.
double difference(const torch::Tensor& ours, const torch::Tensor& theirs) {
  return ((ours - theirs).abs().max() / theirs.abs().max()).item<double>();
}

pair small_pair() {
  return {resnet_config(8, 4), images_of(8), {1, 1, 1}, false};
}

std::unique_ptr<learner> initialized(const config& c, const data_shape& shape) {
  auto model = make_learner_factory(c, shape)();
  initialize_parameters(c, *model);
  return model;
}

torch::Tensor tensor_of(learner& model, const std::string& name) {
  for (const tensor_entry& tensor : model.layout().tensors()) {
    if (tensor.name == name) return view(model.parameters(), tensor);
  }
  FAIL("no tensor " << name);
  return {};
}

}  // namespace

// -- layout -------------------------------------------------------------------------------------

TEST_CASE("residual networks for ImageNet have the parameters that torchvision's have") {
  const std::map<std::int64_t, std::size_t> published = {
      {18, 11689512}, {34, 21797672}, {50, 25557032}, {101, 44549160}, {152, 60192808}};
  for (const auto& known : published) {
    CAPTURE(known.first);
    auto c = resnet_config(known.first, 0);
    c.model.stem = "imagenet";
    CHECK(make_resnet(c.model, images_of(224, 1000))->layout().count(section::trainable) ==
          known.second);
  }
}

TEST_CASE("residual networks for CIFAR have 16 channels and no bottlenecks, whatever the depth") {
  // With 6n + 2 layers: a stem of 464, three stages of 2n convolutions, two projections, an output.
  for (const std::int64_t n : {1, 2, 3, 7, 9, 18}) {
    CAPTURE(n);
    std::int64_t expected = 3 * 9 * 16 + 32 + 10 * 64 + 10;
    for (const std::int64_t width : {16, 32, 64}) {
      const auto first = width == 16 ? 16 : width / 2;
      expected += 9 * first * width + (2 * n - 1) * 9 * width * width + 2 * n * 2 * width;
      if (width != first) expected += first * width + 2 * width;
    }
    const auto net = make_resnet(resnet_config(6 * n + 2, 0).model, images_of(32, 10));
    CHECK(static_cast<std::int64_t>(net->layout().count(section::trainable)) == expected);
  }
}

TEST_CASE("a residual network has the tensors of LibTorch's modules, by torchvision's names") {
  const auto check = [](const config& c, const std::vector<std::int64_t>& blocks,
                        bool bottlenecks) {
    const auto shape = images_of(64);
    const auto net = make_resnet(c.model, shape);
    const plain_resnet plain(blocks, bottlenecks, c.model.channels, c.model, shape);
    std::map<std::string, std::vector<std::int64_t>> ours;
    std::map<std::string, std::vector<std::int64_t>> theirs;
    std::vector<std::string> order;
    for (const tensor_entry& tensor : net->layout().tensors()) {
      ours[tensor.name] = tensor.shape;
      if (tensor.part == section::trainable) order.push_back(tensor.name);
    }
    for (const auto& [name, tensor] : tensors_of(plain)) theirs[name] = tensor.sizes().vec();
    CHECK(ours == theirs);
    CHECK(order.front() == "conv1.weight");
    CHECK(order.back() == "fc.bias");
  };
  check(resnet_config(14, 4), {2, 2, 2}, false);
  check(resnet_config(18, 4), {2, 2, 2, 2}, false);
  check(with_groups(resnet_config(34, 4), 2), {3, 4, 6, 3}, false);
  auto c = resnet_config(50, 4);
  c.model.stem = "imagenet";
  check(c, {3, 4, 6, 3}, true);
}

TEST_CASE("running statistics are averaged or local, and GroupNorm has none") {
  auto c = resnet_config(8, 4);
  const auto count = [&](section part) {
    return make_resnet(c.model, images_of(8))->layout().count(part);
  };
  const auto trainable = count(section::trainable);
  constexpr std::size_t channels = 4 * 3 + 8 * 3 + 16 * 3;  // of all norms
  CHECK(count(section::averaged) == 2 * channels);
  CHECK(count(section::local) == 0);
  c.model.norm_statistics = "local";
  CHECK(count(section::averaged) == 0);
  CHECK(count(section::local) == 2 * channels);
  c = with_groups(c, 4);
  CHECK(count(section::averaged) == 0);
  CHECK(count(section::local) == 0);
  CHECK(count(section::trainable) == trainable);
}

// -- forward and backward -----------------------------------------------------------------------

TEST_CASE("a residual network's loss and gradient are those of LibTorch's modules") {
  const auto check = [](const config& c, std::int64_t size, const std::vector<std::int64_t>& blocks,
                        bool bottlenecks) {
    CAPTURE(c.model.depth);
    CAPTURE(c.model.norm);
    pair both(c, images_of(size), blocks, bottlenecks);
    const auto b = random_images(6, both.shape);
    const double ours = both.ours->compute_gradient(b);
    const auto loss = nn::functional::cross_entropy(both.logits(b), labels(b));
    CHECK(ours == doctest::Approx(loss.item<double>()).epsilon(1e-5));
    loss.backward();
    const auto expected = tensors_of(*both.theirs);
    for (const tensor_entry& tensor : both.ours->layout().tensors()) {
      if (tensor.part != section::trainable) continue;
      CAPTURE(tensor.name);
      const auto& gradient = expected.at(tensor.name).grad();
      CHECK(gradient.abs().max().item<double>() > 1e-4);
      CHECK(difference(view(both.ours->gradient(), tensor), gradient) < 1e-4);
    }
  };
  check(resnet_config(8, 4), 8, {1, 1, 1}, false);
  check(resnet_config(14, 4), 7, {2, 2, 2}, false);
  check(resnet_config(18, 4), 12, {2, 2, 2, 2}, false);
  check(with_groups(resnet_config(8, 4), 2), 8, {1, 1, 1}, false);
  check(with_groups(resnet_config(8, 4), 32), 8, {1, 1, 1}, false);  // 4, 8 and 16 in fact
  auto c = resnet_config(50, 4);
  check(c, 12, {3, 4, 6, 3}, true);
  c.model.stem = "imagenet";
  check(with_groups(c, 4), 40, {3, 4, 6, 3}, true);
}

TEST_CASE("evaluation goes by the running statistics, one example at a time or all at once") {
  pair both = small_pair();
  both.theirs->eval();
  const auto b = random_images(9, both.shape);
  const std::vector<float> before(both.ours->parameters().begin(), both.ours->parameters().end());
  const auto sums = both.ours->evaluate(b);
  const auto logits = both.logits(b);
  CHECK(sums.targets == 9);
  CHECK(sums.loss / 9 ==
        doctest::Approx(nn::functional::cross_entropy(logits, labels(b)).item<double>())
            .epsilon(1e-5));
  CHECK(sums.correct == logits.argmax(1).eq(labels(b)).sum().item<std::int64_t>());
  CHECK(std::equal(before.begin(), before.end(), both.ours->parameters().begin()));

  double loss = 0.0;
  for (std::int64_t i = 0; i < 9; ++i) {
    batch one;
    one.examples = 1;
    one.length = b.length;
    one.features.assign(b.features.begin() + i * b.length, b.features.begin() + (i + 1) * b.length);
    one.labels = {b.labels[static_cast<std::size_t>(i)]};
    loss += both.ours->evaluate(one).loss;
  }
  CHECK(loss == doctest::Approx(sums.loss).epsilon(1e-5));
}

TEST_CASE("steps move the running statistics as BatchNorm2d does") {
  pair both = small_pair();
  for (std::uint64_t step = 0; step < 4; ++step) {
    const auto b = random_images(6, both.shape, step);
    both.ours->compute_gradient(b);
    both.logits(b);
  }
  const auto expected = tensors_of(*both.theirs);
  for (const tensor_entry& tensor : both.ours->layout().tensors()) {
    CAPTURE(tensor.name);
    CHECK(difference(view(both.ours->parameters(), tensor), expected.at(tensor.name)) <
          (tensor.part == section::trainable ? 1e-12 : 1e-5));
  }
}

TEST_CASE("with falling shares the running statistics become the mean of the batches'") {
  auto c = resnet_config(8, 4);
  c.model.norm_statistics = "local";
  pair both(c, images_of(8), {1, 1, 1}, false);
  for (const auto& module : both.theirs->modules()) {
    if (auto* norm = module->as<nn::BatchNorm2d>()) {
      norm->reset_running_stats();
      norm->options.momentum(c10::nullopt);  // a plain mean
    }
  }
  for (std::uint64_t step = 0; step < 5; ++step) {
    const auto b = random_images(6, both.shape, step);
    both.ours->update_statistics(b, 1.0 / static_cast<double>(step + 1));
    both.logits(b);
  }
  const auto expected = tensors_of(*both.theirs);
  for (const tensor_entry& tensor : both.ours->layout().tensors()) {
    CAPTURE(tensor.name);
    CHECK(difference(view(both.ours->parameters(), tensor), expected.at(tensor.name)) <
          (tensor.part == section::trainable ? 1e-12 : 1e-5));
  }
}

TEST_CASE("GroupNorm looks at one example at a time, in training too") {
  const auto c = with_groups(resnet_config(8, 4), 2);
  pair both(c, images_of(8), {1, 1, 1}, false);
  const auto b = random_images(5, both.shape);
  const double together = both.ours->compute_gradient(b);
  CHECK(both.ours->evaluate(b).loss / 5 == doctest::Approx(together).epsilon(1e-6));
  const std::vector<float> before(both.ours->parameters().begin(), both.ours->parameters().end());
  both.ours->update_statistics(b, 1.0);
  CHECK(std::equal(before.begin(), before.end(), both.ours->parameters().begin()));
}

TEST_CASE("label smoothing is LibTorch's, in training alone") {
  auto c = resnet_config(8, 4);
  c.inner.label_smoothing = 0.1;
  pair both(c, images_of(8), {1, 1, 1}, false);
  const auto b = random_images(6, both.shape);
  const auto logits = both.logits(b);
  const auto smooth = nn::functional::cross_entropy(
      logits, labels(b), nn::functional::CrossEntropyFuncOptions().label_smoothing(0.1));
  const double plain = nn::functional::cross_entropy(logits, labels(b)).item<double>();
  CHECK(std::abs(smooth.item<double>() - plain) > 1e-3);
  // Of each target 0.1 goes to all classes, itself included.
  const auto uniform = -logits.log_softmax(1).mean();
  CHECK(smooth.item<double>() ==
        doctest::Approx(0.9 * plain + 0.1 * uniform.item<double>()).epsilon(1e-9));

  CHECK(both.ours->compute_gradient(b) == doctest::Approx(smooth.item<double>()).epsilon(1e-5));
  smooth.backward();
  const auto expected = tensors_of(*both.theirs);
  for (const char* name : {"fc.weight", "conv1.weight", "layer2.0.bn2.weight"}) {
    CAPTURE(name);
    for (const tensor_entry& tensor : both.ours->layout().tensors()) {
      if (tensor.name != name) continue;
      CHECK(difference(view(both.ours->gradient(), tensor), expected.at(name).grad()) < 1e-4);
    }
  }
  const auto sums = both.ours->evaluate(b);
  c.inner.label_smoothing = 0.0;
  const auto other = make_learner_factory(c, both.shape)();
  std::copy(both.ours->parameters().begin(), both.ours->parameters().end(),
            other->parameters().begin());
  CHECK(sums.loss == other->evaluate(b).loss);
}

TEST_CASE("the five most likely of more than five classes are counted") {
  const auto shape = images_of(8, 8);
  const auto model = initialized(resnet_config(8, 4), shape);
  const torch::NoGradGuard no_gradient;
  tensor_of(*model, "fc.weight").zero_();
  tensor_of(*model, "fc.bias").copy_(torch::tensor({1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0}));
  auto b = random_images(8, shape);
  b.labels = {1, 1, 3, 5, 6, 4, 2, 0};  // ranks 1, 1, 2, 3, 5, 6, 7, 8
  const auto sums = model->evaluate(b);
  CHECK(sums.targets == 8);
  CHECK(sums.correct == 2);
  CHECK(sums.correct_top5 == 5);

  const auto few = images_of(8, 5);
  CHECK(initialized(resnet_config(8, 4), few)->evaluate(random_images(8, few)).correct_top5 == 0);
  CHECK(counts_top5(shape));
  CHECK_FALSE(counts_top5(few));
  CHECK_FALSE(counts_top5({21, 8}));
  CHECK_FALSE(counts_top5({0, 256}));
}

TEST_CASE("bf16 changes a residual network's gradient and statistics by a few percent at most") {
  for (const char* norm : {"batch", "group"}) {
    CAPTURE(norm);
    auto c = resnet_config(8, 8);
    c.model.norm = norm;
    c.model.groups = 4;
    const auto shape = images_of(16);
    const auto b = random_images(16, shape);
    c.inner.precision = "f32";
    const auto exact = initialized(c, shape);
    c.inner.precision = "bf16";
    const auto rounded = initialized(c, shape);
    const double loss = exact->compute_gradient(b);
    CHECK(rounded->compute_gradient(b) == doctest::Approx(loss).epsilon(0.01));
    const auto distance = [](std::span<const float> x, std::span<const float> y) {
      const auto size = static_cast<std::int64_t>(x.size());
      const auto a = torch::from_blob(const_cast<float*>(x.data()), {size});
      const auto b = torch::from_blob(const_cast<float*>(y.data()), {size});
      return ((a - b).norm() / b.norm()).item<double>();
    };
    CHECK(distance(rounded->gradient(), exact->gradient()) > 0.0);
    CHECK(distance(rounded->gradient(), exact->gradient()) < 0.05);
    CHECK(distance(rounded->parameters(), exact->parameters()) < 0.005);
    // Evaluation is in f32, whatever trains.
    std::copy(exact->parameters().begin(), exact->parameters().end(),
              rounded->parameters().begin());
    CHECK(rounded->evaluate(b).loss == exact->evaluate(b).loss);
  }
}

// -- initial values -----------------------------------------------------------------------------

TEST_CASE("a residual network starts as Goyal et al. say, the same everywhere, from the seed") {
  for (const std::int64_t depth : {8, 50}) {
    CAPTURE(depth);
    auto c = resnet_config(depth, 8);
    const auto shape = images_of(32, 100);
    const auto model = initialized(c, shape);
    std::int64_t ends = 0;
    for (const tensor_entry& tensor : model->layout().tensors()) {
      CAPTURE(tensor.name);
      const auto values = view(model->parameters(), tensor).to(torch::kDouble);
      if (tensor.shape.size() == 1) {
        const bool ends_block = tensor.name.starts_with("layer") &&
                                tensor.name.ends_with(depth == 8 ? "bn2.weight" : "bn3.weight");
        const bool one = !ends_block &&
                         (tensor.name.ends_with(".weight") || tensor.name.ends_with("running_var"));
        CHECK(values.eq(one ? 1.0 : 0.0).all().item<bool>());
        ends += ends_block ? 1 : 0;
        continue;
      }
      const double n = static_cast<double>(tensor.size);
      double variance = 1e-4;
      if (tensor.name != "fc.weight") {
        variance = 2.0 / static_cast<double>(tensor.shape[0] * tensor.shape[2] * tensor.shape[3]);
      }
      // Five standard deviations of a normal distribution's mean, mean square and kurtosis.
      CHECK(std::abs(values.mean().item<double>()) < 5 * std::sqrt(variance / n));
      CHECK(std::abs(values.square().mean().item<double>() / variance - 1) <
            5 * std::sqrt(2.0 / n));
      CHECK(std::abs(values.pow(4).mean().item<double>() / (variance * variance) - 3) <
            5 * std::sqrt(96.0 / n));
    }
    CHECK(ends == (depth == 8 ? 3 : 16));
  }

  auto c = resnet_config(8, 8);
  const auto model = initialized(c, images_of(16));
  const auto hash = [&] { return parameters_sha256(model->layout(), model->parameters()); };
  // A constant: another value means that no earlier result can be repeated.
  CHECK(hash() == "86be8021e54409c57a36aeb52494e98e235f2ecec0d21924c3cf3ad9e27a75ff");
  std::fill(model->parameters().begin(), model->parameters().end(), 7.0F);
  const auto before = hash();
  initialize_parameters(c, *model);
  const auto first = hash();
  CHECK(first != before);
  c.run.seed = 2;
  initialize_parameters(c, *model);
  CHECK(hash() != first);
}

TEST_CASE("BatchNorm and GroupNorm start with the same weights") {
  const auto shape = images_of(16);
  const auto c = resnet_config(8, 8);
  const auto batch_norm = initialized(c, shape);
  const auto group_norm = initialized(with_groups(c, 4), shape);
  const auto trainable = group_norm->layout().end(section::trainable);
  REQUIRE(trainable == batch_norm->layout().end(section::trainable));
  CHECK(std::equal(group_norm->parameters().begin(), group_norm->parameters().end(),
                   batch_norm->parameters().begin()));
}

// -- training -----------------------------------------------------------------------------------

TEST_CASE("the same images give a residual network the same bits, in any learner and thread") {
  for (const char* precision : {"f32", "bf16"}) {
    auto c = resnet_config(8, 8);
    c.inner.precision = precision;
    const auto shape = images_of(16);
    const auto factory = make_learner_factory(c, shape);
    const auto b = random_images(16, shape);
    const auto compute = [&] {
      const auto model = initialized(c, shape);
      const auto optimizer = make_inner_optimizer(c.inner, model->layout());
      inner_state state;
      for (int i = 0; i < 3; ++i) {
        model->compute_gradient(b);
        const auto trainable = model->layout().end(section::trainable);
        optimizer->step(model->parameters().first(trainable), model->gradient(), state, 0.01);
      }
      model->evaluate(random_images(3, shape));  // leaves no trace
      return std::vector<float>(model->parameters().begin(), model->parameters().end());
    };
    const auto expected = compute();
    std::vector<std::vector<float>> results(3);
    std::vector<std::thread> threads;
    for (auto& result : results) {
      threads.emplace_back([&] { result = compute(); });
    }
    for (auto& thread : threads) thread.join();
    for (const auto& result : results) {
      REQUIRE(result.size() == expected.size());
      CHECK(std::memcmp(result.data(), expected.data(), expected.size() * sizeof(float)) == 0);
    }
  }
}

TEST_CASE(
    "a residual network learns to tell noisy patterns apart, with either norm and precision") {
  const auto shape = images_of(8, 4);
  const auto patterns = random_images(4, shape, 99);
  const auto noisy_patterns = [&](std::uint64_t seed) {
    auto b = random_images(16, shape, seed);
    for (std::size_t i = 0; i < b.features.size(); ++i) {
      const auto example = i / static_cast<std::size_t>(shape.features);
      const auto pattern = static_cast<std::size_t>(b.labels[example] * shape.features);
      b.features[i] += patterns.features[pattern + i % static_cast<std::size_t>(shape.features)];
    }
    return b;
  };
  for (const char* norm : {"batch", "group"}) {
    for (const char* precision : {"f32", "bf16"}) {
      CAPTURE(norm);
      CAPTURE(precision);
      auto c = resnet_config(8, 8);
      c.model.norm = norm;
      c.model.groups = 4;
      c.inner.precision = precision;
      const auto model = initialized(c, shape);
      const auto trainable = model->layout().end(section::trainable);
      const auto test = noisy_patterns(1000);
      const auto optimizer = make_inner_optimizer(c.inner, model->layout());
      inner_state state;
      for (std::uint64_t step = 0; step < 60; ++step) {
        model->compute_gradient(noisy_patterns(step));
        optimizer->step(model->parameters().first(trainable), model->gradient(), state, 0.01);
      }
      CHECK(model->evaluate(test).correct >= 14);
    }
  }
}

// -- errors -------------------------------------------------------------------------------------

TEST_CASE("a residual network that cannot be is refused") {
  const auto factory = [](const config& c, const data_shape& shape) {
    make_learner_factory(c, shape);
  };
  CHECK_THROWS_WITH_AS(factory(resnet_config(16, 8), images_of(32)),
                       "model.depth = 16 is not the depth of a resnet; it must be 18, 34, 50, 101, "
                       "152, or 6n + 2 from 8 on",
                       usage_error);
  CHECK_THROWS_WITH_AS(factory(with_groups(resnet_config(8, 16), 5), images_of(32)),
                       "model.groups = 5 does not divide the 16 channels of \"conv1\"; change it "
                       "or model.channels",
                       usage_error);
  CHECK_NOTHROW(factory(resnet_config(8, 8), images_of(5)));
  CHECK_THROWS_WITH_AS(factory(resnet_config(8, 8), images_of(4)),
                       "images of 4 x 4 are too small for model.depth = 8 with model.stem = "
                       "\"cifar\"; they must be at least 5 x 5",
                       usage_error);
}

TEST_CASE("a residual network takes images, and only those of its size") {
  auto c = resnet_config(8, 8);
  c.data.kind = "text";
  CHECK_THROWS_WITH_AS(
      make_learner_factory(c, {0, 256}),
      "model.kind = \"resnet\" takes images, but data.kind = \"text\" gives tokens", usage_error);
  c.data.kind = "gaussian-mixtures";
  CHECK_THROWS_WITH_AS(make_learner_factory(c, {192, 4}),
                       "model.kind = \"resnet\" takes images, but data.kind = "
                       "\"gaussian-mixtures\" gives points",
                       usage_error);
  const auto model = initialized(resnet_config(8, 8), images_of(8));
  CHECK_THROWS_WITH_AS(model->evaluate(random_images(2, images_of(9))),
                       "learner: a batch of 2 images of length 243 with 486 features and 2 labels; "
                       "images must have 192 features and one label each",
                       std::invalid_argument);
  CHECK_THROWS_AS(model->update_statistics(random_images(2, images_of(9)), 1.0),
                  std::invalid_argument);
}
