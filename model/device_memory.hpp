// Parameters and gradient in the memory of a device of LibTorch's, with a copy of the parameters in
// main memory, pinned, through which all of them come and go; and a local round's arithmetic there.
// Internal to model/; includes LibTorch.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <span>

#include "model/model_memory.hpp"

namespace rubato {

class device_memory final : public model_memory {
 public:
  device_memory(const parameter_layout& layout, torch::Device device);

  torch::Device device() const override { return device_; }
  torch::Tensor parameter(const tensor_entry& entry) override;
  torch::Tensor gradient(const tensor_entry& entry) override;
  void begin_pass() override;
  void clear_gradient() override { gradient_.zero_(); }
  std::span<float> parameters() override;
  std::span<float> parameters_to_overwrite() override;
  std::span<float> gradient() override;
  std::unique_ptr<round_vectors> make_round_vectors(learner& model,
                                                    const config::inner_section& inner) override;

 private:
  class vectors;

  const float* gradient_begin() const override { return gradient_.data_ptr<float>(); }
  std::span<float> copy_span() { return {copy_.data_ptr<float>(), size(copy_)}; }
  static std::size_t size(const torch::Tensor& flat) {
    return static_cast<std::size_t>(flat.numel());
  }
  torch::Tensor part_of(const torch::Tensor& flat, const tensor_entry& entry) const;

  torch::Device device_;
  std::size_t trainable_;  // ends of sections
  std::size_t shared_;
  torch::Tensor parameters_;
  torch::Tensor gradient_;
  torch::Tensor copy_;              // in main memory
  bool is_copy_newer_ = false;      // it was given out to be written to
  torch::Tensor gradient_to_read_;  // in main memory; made when somebody asks
};

}  // namespace rubato
