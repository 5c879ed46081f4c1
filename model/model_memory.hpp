// Where a learner's parameters and gradient lie, in one piece each: main memory, or a device's.
// Internal to model/; includes LibTorch. Not here: what is computed with them.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <span>

#include "config/config.hpp"
#include "model/device.hpp"
#include "model/learner.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// Used by the thread that made it. Both are zero at first.
class model_memory {
 public:
  virtual ~model_memory() = default;

  virtual torch::Device device() const = 0;

  /// The tensor of an entry of the layout: f32, of its shape, and part of the whole. It must not be
  /// used any more when this is gone.
  virtual torch::Tensor parameter(const tensor_entry& entry) = 0;
  /// The same of the gradient; for trainable tensors.
  virtual torch::Tensor gradient(const tensor_entry& entry) = 0;

  /// Before each pass of LibTorch's over the tensors: what was written to parameters() is in them.
  virtual void begin_pass() = 0;
  virtual void clear_gradient() = 0;

  // As the learner's of these names.
  virtual std::span<float> parameters() = 0;
  virtual std::span<float> parameters_to_overwrite() = 0;
  virtual std::span<float> gradient() = 0;
  virtual std::unique_ptr<round_vectors> make_round_vectors(learner& model,
                                                            const config::inner_section& inner) = 0;

  /// Whether a tensor's gradient is still the one that gradient() gave. Autograd adds to that; a
  /// loss may have put another in its place.
  bool holds(const tensor_entry& entry, const torch::Tensor& its_gradient) {
    return its_gradient.defined() &&
           its_gradient.data_ptr<float>() == gradient_begin() + entry.offset;
  }

 private:
  /// Where it lies, maybe not in main memory.
  virtual const float* gradient_begin() const = 0;
};

/// For a model of that layout.
std::unique_ptr<model_memory> make_model_memory(const parameter_layout& layout,
                                                const compute_device& device);

}  // namespace rubato
