// Activation checkpointing: of a part of a network autograd keeps what goes in alone, and the
// backward pass computes the rest again. Internal to model/; includes LibTorch.
#pragma once

#include <torch/torch.h>

#include <functional>

namespace rubato {

/// function(x), and its gradient: bit for bit those of a plain call, for the time of a second
/// forward pass and the memory of x. `x` requires a gradient; other tensors that do must be leaves.
/// The function must live, and give the same, until the backward pass is over.
torch::Tensor recomputed(const torch::Tensor& x,
                         std::function<torch::Tensor(const torch::Tensor&)> function);

}  // namespace rubato
