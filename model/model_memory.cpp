#include "model/model_memory.hpp"

#include <algorithm>

#include "model/device_memory.hpp"

namespace rubato {
namespace {

class host_memory final : public model_memory {
 public:
  explicit host_memory(const parameter_layout& layout)
      : parameters_(layout.size()), gradient_(layout.end(section::trainable)) {}

  torch::Device device() const override { return torch::kCPU; }

  torch::Tensor parameter(const tensor_entry& entry) override {
    return torch::from_blob(parameters_.data() + entry.offset, entry.shape);
  }
  torch::Tensor gradient(const tensor_entry& entry) override {
    return torch::from_blob(gradient_.data() + entry.offset, entry.shape);
  }

  void begin_pass() override {}
  void clear_gradient() override { std::fill_n(gradient_.data(), gradient_.size(), 0.0F); }

  std::span<float> parameters() override { return parameters_.span(); }
  std::span<float> parameters_to_overwrite() override { return parameters_.span(); }
  std::span<float> gradient() override { return gradient_.span(); }
  std::unique_ptr<round_vectors> make_round_vectors(learner& model,
                                                    const config::inner_section& inner) override {
    return make_host_vectors(model, inner);
  }

 private:
  const float* gradient_begin() const override { return gradient_.data(); }

  parameter_buffer parameters_;
  parameter_buffer gradient_;
};

}  // namespace

std::unique_ptr<model_memory> make_model_memory(const parameter_layout& layout,
                                                const compute_device& device) {
  if (device.is_host) return std::make_unique<host_memory>(layout);
  return std::make_unique<device_memory>(layout, device.torch);
}

}  // namespace rubato
