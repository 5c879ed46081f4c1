// What a batch holds, as LibTorch's tensors. Internal to model/; includes LibTorch.
#pragma once

#include <torch/torch.h>

#include "data/dataset.hpp"

namespace rubato {

/// A copy: the module may write to it, and a batch is everybody's. Its memory is aligned alike
/// every time, so that the last bits of a result do not depend on where a batch lies. Throws
/// std::invalid_argument if there are more or fewer bytes than the shape takes.
torch::Tensor tensor_of(const tensor_values& values);

}  // namespace rubato
