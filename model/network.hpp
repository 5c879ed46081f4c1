// What a kind of model is to the learner: a layout of named tensors and a differentiable forward
// pass over them. Internal to model/.
// Not here: buffers, losses, gradients and threads (learner.cpp).
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "data/dataset.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// What a forward pass does with the mean and variance of its batch, in a network with BatchNorm.
struct batch_statistics {
  bool used = false;   // it normalises with them; else with the running ones
  double share = 0.0;  // and moves the running ones by this share towards them (unbiased variance)
};
constexpr batch_statistics for_training{.used = true, .share = 0.1};
constexpr batch_statistics for_evaluation{};

class network {
 public:
  virtual ~network() = default;

  /// Names, shapes and places of all tensors; fixed from construction on.
  virtual const parameter_layout& layout() const = 0;

  /// Makes these the tensors that logits() works with: one for each entry of layout(), in its
  /// order and of its shape. They are shared, not copied.
  virtual void attach(const std::vector<torch::Tensor>& tensors) = 0;

  /// Logits, [targets, classes]: for tokens [examples, length] (int64) those of the token after
  /// each, row by row; for points or images [examples, features] (f32) those of each one's label. A
  /// network takes one of the two. A pure function of the tensors and inputs, but for running
  /// statistics, which change in place as `use` says. Call attach() first.
  virtual torch::Tensor logits(const torch::Tensor& inputs, batch_statistics use) const = 0;
};

/// What a language model remembers of the tokens that it has read: for each block, keys and values
/// of all of them, [heads, tokens, head_size].
struct attention_memory {
  struct block {
    torch::Tensor keys;
    torch::Tensor values;
  };
  std::int64_t tokens = 0;
  std::vector<block> blocks;
};

/// A network that can go on with a text.
class language_network : public network {
 public:
  /// Logits, [vocabulary], of the token after the last of `tokens` ([n], int64), which come after
  /// those in `memory` and are remembered in it. Together they are at most as many as the longest
  /// example. An empty memory begins a text.
  virtual torch::Tensor read_on(const torch::Tensor& tokens, attention_memory& memory) const = 0;
};

/// A decoder-only transformer over tokens 0 ... vocabulary - 1; see transformer.cpp.
std::unique_ptr<network> make_transformer(const config::model_section& options,
                                          std::int64_t vocabulary);

/// Starting values for a transformer's layout, over layout.size() floats of zeros. The same bits
/// on every machine.
void initialize_transformer(const config::model_section& options, std::uint64_t seed,
                            const parameter_layout& layout, std::span<float> parameters);

/// A perceptron with one hidden layer over points; see mlp.cpp.
std::unique_ptr<network> make_mlp(const config::model_section& options, const data_shape& shape);

/// Starting values for a perceptron's layout, over layout.size() floats of zeros. The same bits on
/// every machine.
void initialize_mlp(std::uint64_t seed, const parameter_layout& layout,
                    std::span<float> parameters);

/// Channels of a residual network's first stage: model.channels, or what its depth usually has.
/// Throws usage_error for a depth that there is not.
std::int64_t first_channels(const config::model_section& options);

/// A residual network over images; see resnet.cpp. Throws usage_error for a depth that there is
/// not, groups that do not divide the channels, and images that are too small.
std::unique_ptr<network> make_resnet(const config::model_section& options, const data_shape& shape);

/// Starting values for a residual network's layout, over layout.size() floats. The same bits on
/// every machine.
void initialize_resnet(const config::model_section& options, std::uint64_t seed,
                       const parameter_layout& layout, std::span<float> parameters);

}  // namespace rubato
