// What a kind of model is to the learner: a layout of named tensors and a differentiable forward
// pass over them. Internal to model/, and its only header that includes LibTorch.
// Not here: buffers, losses, gradients and threads (learner.cpp).
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

class network {
 public:
  virtual ~network() = default;

  /// Names, shapes and places of all tensors; fixed from construction on.
  virtual const parameter_layout& layout() const = 0;

  /// Makes these the tensors that logits() works with: one for each entry of layout(), in its
  /// order and of its shape. They are shared, not copied.
  virtual void attach(const std::vector<torch::Tensor>& tensors) = 0;

  /// Next-token logits, [examples * length, vocabulary], for tokens [examples, length] (int64).
  /// A pure function of the tensors and tokens. Call attach() first.
  virtual torch::Tensor logits(const torch::Tensor& tokens) const = 0;
};

/// A decoder-only transformer; see transformer.cpp.
std::unique_ptr<network> make_transformer(const config::model_section& options,
                                          std::int64_t vocabulary);

/// Starting values for a transformer's layout, over layout.size() floats of zeros. The same bits
/// on every machine.
void initialize_transformer(const config::model_section& options, std::uint64_t seed,
                            const parameter_layout& layout, std::span<float> parameters);

}  // namespace rubato
