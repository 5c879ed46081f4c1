// The inner optimizers of optim/inner_optimizer.hpp, by LibTorch's operations on flat tensors: the
// same formulas, to rounding, for parameters that are on a device. Internal to model/; includes
// LibTorch.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "config/config.hpp"
#include "optim/inner_optimizer.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// The state's buffers come to theta's device with the first step there, and stay (as distant)
/// until somebody else needs them: one buffer for a momentum, two for AdamW, for every worker that
/// was ever trained there.
class device_optimizer {
 public:
  device_optimizer(const config::inner_section& inner, const parameter_layout& layout);

  /// As inner_optimizer::step(), but that g is used up. Both are trainable sections, f32, on one
  /// device. Throws std::invalid_argument if they or the state are not of the layout's size.
  void step(const torch::Tensor& theta, const torch::Tensor& g, inner_state& state,
            double lr) const;

 private:
  /// Of a tensor, or of several that follow one another.
  struct range {
    std::int64_t offset;
    std::int64_t size;
  };

  void scale_by_layer(const torch::Tensor& theta, const torch::Tensor& g) const;
  void step_along_momentum(const torch::Tensor& theta, const torch::Tensor& g,
                           const std::vector<torch::Tensor>& buffers, double lr) const;
  void step_adamw(const torch::Tensor& theta, const torch::Tensor& g,
                  const std::vector<torch::Tensor>& buffers, std::uint64_t count, double lr) const;

  config::inner_section inner_;
  std::size_t buffers_;
  std::int64_t size_;           // of the trainable section
  std::vector<range> decayed_;  // as few as can be
  std::vector<range> tensors_;  // for LARS: those that have a rate of their own
};

}  // namespace rubato
