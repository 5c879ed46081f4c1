// Residual networks for images (He et al. 2016) in torchvision's layout and with its tensors'
// names: three stages of basic blocks for 6n + 2 layers, four of basic or bottleneck blocks for 18,
// 34, 50, 101 and 152. A bottleneck's stride is in its 3 x 3 convolution. The initial values are
// those of Goyal et al. 2017.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "config/error.hpp"
#include "config/random.hpp"
#include "data/normal.hpp"
#include "model/network.hpp"

namespace rubato {

namespace {

constexpr double norm_epsilon = 1e-5;

/// What model.depth stands for.
struct plan {
  std::vector<std::int64_t> blocks;  // of each stage
  bool bottlenecks = false;
};

plan plan_of(std::int64_t depth) {
  switch (depth) {
    case 18:
      return {{2, 2, 2, 2}, false};
    case 34:
      return {{3, 4, 6, 3}, false};
    case 50:
      return {{3, 4, 6, 3}, true};
    case 101:
      return {{3, 4, 23, 3}, true};
    case 152:
      return {{3, 8, 36, 3}, true};
    default:
      break;
  }
  if (depth < 8 || depth % 6 != 2) {
    throw usage_error(
        fmt::format("model.depth = {} is not the depth of a resnet; it must be 18, "
                    "34, 50, 101, 152, or 6n + 2 from 8 on",
                    depth));
  }
  return {std::vector<std::int64_t>(3, (depth - 2) / 6), false};
}

/// A convolution without bias and the normalisation of what comes out.
struct unit {
  std::int64_t channels;
  std::int64_t kernel;
  std::int64_t stride;
  torch::Tensor weight;
  torch::Tensor scale;
  torch::Tensor shift;
  torch::Tensor mean;  // running; defined with BatchNorm only, as is the next
  torch::Tensor variance;
};

class resnet final : public network {
 public:
  resnet(const config::model_section& options, const data_shape& shape)
      : shape_(shape),
        imagenet_stem_(options.stem == "imagenet"),
        groups_(options.norm == "group" ? options.groups : 0),
        statistics_(options.norm_statistics == "local" ? section::local : section::averaged) {
    const auto [blocks, bottlenecks] = plan_of(options.depth);
    const std::int64_t narrowest = first_channels(options);
    const std::int64_t expansion = bottlenecks ? 4 : 1;

    auto inputs = narrowest;
    if (imagenet_stem_) {
      add_unit("conv1", "bn1", shape.channels, narrowest, 7, 2);
    } else {
      add_unit("conv1", "bn1", shape.channels, narrowest, 3, 1);
    }
    std::int64_t reduction = imagenet_stem_ ? 4 : 1;
    for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
      const std::int64_t channels = narrowest << stage;
      for (std::int64_t i = 0; i < blocks[stage]; ++i) {
        const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
        const std::string name = fmt::format("layer{}.{}.", stage + 1, i);
        const auto outputs = channels * expansion;
        if (bottlenecks) {
          add_unit(name + "conv1", name + "bn1", inputs, channels, 1, 1);
          add_unit(name + "conv2", name + "bn2", channels, channels, 3, stride);
          add_unit(name + "conv3", name + "bn3", channels, outputs, 1, 1);
        } else {
          add_unit(name + "conv1", name + "bn1", inputs, channels, 3, stride);
          add_unit(name + "conv2", name + "bn2", channels, outputs, 3, 1);
        }
        const bool projects = stride != 1 || inputs != outputs;
        if (projects) {
          add_unit(name + "downsample.0", name + "downsample.1", inputs, outputs, 1, stride);
        }
        blocks_.push_back({bottlenecks ? 3U : 2U, projects});
        inputs = outputs;
        reduction *= stride;
      }
    }
    layout_.add("fc.weight", {shape.classes, inputs});
    layout_.add("fc.bias", {shape.classes});

    // Above that, the last stage has more than one place for each channel to be normalised over.
    if (std::min(shape.height, shape.width) <= reduction) {
      throw usage_error(fmt::format(
          "images of {} x {} are too small for model.depth = {} with "
          "model.stem = \"{}\"; they must be at least {} x {}",
          shape.height, shape.width, options.depth, options.stem, reduction + 1, reduction + 1));
    }
  }

  const parameter_layout& layout() const override { return layout_; }

  // In the order of the constructor's add() calls, running statistics behind all parameters.
  void attach(const std::vector<torch::Tensor>& tensors) override {
    auto next = tensors.begin();
    for (unit& u : units_) {
      u.weight = *next++;
      u.scale = *next++;
      u.shift = *next++;
    }
    output_weight_ = *next++;
    output_bias_ = *next++;
    if (groups_ > 0) return;
    for (unit& u : units_) {
      u.mean = *next++;
      u.variance = *next++;
    }
  }

  torch::Tensor logits(const torch::Tensor& images, batch_statistics use) const override {
    auto next = units_.begin();
    const auto run = [&next, &use, this](const torch::Tensor& x) {
      const unit& u = *next++;
      return normalize(u, convolve(u, x), use);
    };
    auto x = images.view({-1, shape_.channels, shape_.height, shape_.width});
    x = run(x).relu_();
    if (imagenet_stem_) x = at::max_pool2d(x, {3, 3}, {2, 2}, {1, 1});
    for (const block& b : blocks_) {
      auto branch = x;
      for (std::size_t i = 1; i < b.units; ++i) branch = run(branch).relu_();
      branch = run(branch);
      x = (branch + (b.projects ? run(x) : x)).relu_();
    }
    return at::linear(x.mean({2, 3}), output_weight_, output_bias_);
  }

 private:
  /// A branch of so many units, then one that brings its input into the shape of its output.
  struct block {
    std::size_t units;
    bool projects;
  };

  void add_unit(const std::string& convolution, const std::string& norm, std::int64_t inputs,
                std::int64_t outputs, std::int64_t kernel, std::int64_t stride) {
    layout_.add(convolution + ".weight", {outputs, inputs, kernel, kernel});
    layout_.add(norm + ".weight", {outputs});
    layout_.add(norm + ".bias", {outputs});
    if (groups_ == 0) {
      layout_.add(norm + ".running_mean", {outputs}, statistics_);
      layout_.add(norm + ".running_var", {outputs}, statistics_);
    } else if (outputs % std::min(groups_, outputs) != 0) {
      throw usage_error(
          fmt::format("model.groups = {} does not divide the {} channels of \"{}\"; "
                      "change it or model.channels",
                      groups_, outputs, convolution));
    }
    units_.push_back({outputs, kernel, stride, {}, {}, {}, {}, {}});
  }

  static torch::Tensor convolve(const unit& u, const torch::Tensor& x) {
    const std::int64_t padding = u.kernel / 2;
    return at::conv2d(x, u.weight, {}, {u.stride, u.stride}, {padding, padding});
  }

  torch::Tensor normalize(const unit& u, const torch::Tensor& x, batch_statistics use) const {
    if (groups_ > 0) {
      // Unlike BatchNorm's, its input and parameters are of one type; a product may be bf16.
      return at::group_norm(x.to(torch::kFloat), std::min(groups_, u.channels), u.scale, u.shift,
                            norm_epsilon);
    }
    return at::batch_norm(x, u.scale, u.shift, u.mean, u.variance, use.used, use.share,
                          norm_epsilon, /*cudnn_enabled=*/false);
  }

  data_shape shape_;
  bool imagenet_stem_;
  std::int64_t groups_;  // 0: BatchNorm
  section statistics_;
  parameter_layout layout_;
  std::vector<unit> units_;  // in the order in which a forward pass takes them
  std::vector<block> blocks_;
  torch::Tensor output_weight_;
  torch::Tensor output_bias_;
};

}  // namespace

std::int64_t first_channels(const config::model_section& options) {
  if (options.channels > 0) return options.channels;
  return plan_of(options.depth).blocks.size() == 3 ? 16 : 64;
}

std::unique_ptr<network> make_resnet(const config::model_section& options,
                                     const data_shape& shape) {
  return std::make_unique<resnet>(options, shape);
}

void initialize_resnet(const config::model_section& options, std::uint64_t seed,
                       const parameter_layout& layout, std::span<float> parameters) {
  // The scale that ends a block's branch: at 0, every block begins as its shortcut alone.
  const auto* const last_scale = plan_of(options.depth).bottlenecks ? ".bn3.weight" : ".bn2.weight";
  const auto& tensors = layout.tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const tensor_entry& tensor = tensors[i];
    const auto values = parameters.subspan(tensor.offset, tensor.size);
    if (tensor.shape.size() == 1) {
      const bool one = tensor.name.ends_with(".running_var") ||
                       (tensor.name.ends_with(".weight") && !tensor.name.ends_with(last_scale));
      std::fill(values.begin(), values.end(), one ? 1.0F : 0.0F);
      continue;
    }
    double deviation = 0.01;  // of the output layer
    if (tensor.shape.size() == 4) {
      const auto fan_out = tensor.shape[0] * tensor.shape[2] * tensor.shape[3];
      deviation = std::sqrt(2.0 / static_cast<double>(fan_out));
    }
    random_generator random(seed, random_stream::initial_parameters, {i});
    fill_normal(random, values);
    for (float& x : values) x *= static_cast<float>(deviation);
  }
}

}  // namespace rubato
