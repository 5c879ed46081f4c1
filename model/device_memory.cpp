#include "model/device_memory.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/device_optimizer.hpp"
#include "model/in_libtorch.hpp"
#include "optim/reductions.hpp"

namespace rubato {
namespace {

std::int64_t signed_size(std::size_t size) {
  return static_cast<std::int64_t>(size);
}

/// In main memory where the device can fetch it by itself.
torch::Tensor pinned(std::size_t size, torch::Device device) {
  return torch::empty({signed_size(size)}, torch::TensorOptions().pinned_memory(!device.is_cpu()));
}

torch::Tensor zeros(std::size_t size, torch::Device device) {
  use_own_stream(device);
  return torch::zeros({signed_size(size)}, torch::TensorOptions(device));
}

}  // namespace

device_memory::device_memory(const parameter_layout& layout, torch::Device device)
    : device_(device),
      trainable_(layout.end(section::trainable)),
      shared_(layout.end(section::averaged)),
      parameters_(zeros(layout.size(), device)),
      gradient_(zeros(trainable_, device)),
      copy_(pinned(layout.size(), device)) {
  // f32 means f32, and a convolution's gradient is the same every time.
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
}

torch::Tensor device_memory::part_of(const torch::Tensor& flat, const tensor_entry& entry) const {
  // No view: what autograd remembers of views and their whole is of no use here.
  return torch::from_blob(flat.data_ptr<float>() + entry.offset, entry.shape,
                          torch::TensorOptions(device_));
}

torch::Tensor device_memory::parameter(const tensor_entry& entry) {
  return part_of(parameters_, entry);
}

torch::Tensor device_memory::gradient(const tensor_entry& entry) {
  return part_of(gradient_, entry);
}

void device_memory::begin_pass() {
  if (!std::exchange(is_copy_newer_, false)) return;
  const torch::NoGradGuard no_gradient;
  parameters_.copy_(copy_, /*non_blocking=*/true);
}

std::span<float> device_memory::parameters() {
  return in_libtorch([&] {
    const torch::NoGradGuard no_gradient;
    if (!std::exchange(is_copy_newer_, true)) copy_.copy_(parameters_);
    return copy_span();
  });
}

std::span<float> device_memory::parameters_to_overwrite() {
  return in_libtorch([&] {
    wait_for(device_);  // it may be on its way there
    is_copy_newer_ = true;
    return copy_span();
  });
}

std::span<float> device_memory::gradient() {
  return in_libtorch([&]() -> std::span<float> {
    gradient_to_read_ = gradient_.to(torch::kCPU, torch::kFloat, /*non_blocking=*/false,
                                     /*copy=*/true);
    return {gradient_to_read_.data_ptr<float>(), trainable_};
  });
}

class device_memory::vectors final : public round_vectors {
 public:
  vectors(device_memory& memory, const parameter_layout& layout, const config::inner_section& inner)
      : memory_(memory), optimizer_(inner, layout) {}

  void begin(version_ptr /*base*/) override {
    in_libtorch([&] {
      const torch::NoGradGuard no_gradient;
      memory_.begin_pass();
      base_ = theta().clone();
    });
  }

  void pull_to_base(float rho) override {
    in_libtorch([&] {
      const torch::NoGradGuard no_gradient;
      memory_.gradient_.add_(theta() - base_, rho);
    });
  }

  void step(inner_state& state, double lr) override {
    in_libtorch([&] {
      memory_.begin_pass();
      optimizer_.step(theta(), memory_.gradient_, state, lr);
    });
  }

  void take_over(version_ptr version) override {
    in_libtorch([&] {
      const torch::NoGradGuard no_gradient;
      memory_.begin_pass();
      const auto values = version->span();
      const auto copy = memory_.parameters_to_overwrite();
      std::copy(values.begin(), values.end(), copy.begin());
      memory_.is_copy_newer_ = false;  // it is no copy of the parameters
      const auto there = memory_.copy_.to(memory_.device_, torch::kFloat, /*non_blocking=*/true,
                                          /*copy=*/true);
      const auto moved = theta().sub_(base_);
      base_ = there.narrow(0, 0, moved.numel()).clone();
      moved.add_(base_);
      averaged(memory_.parameters_).copy_(averaged(there));
    });
  }

  size finish(bool is_gradient, std::span<float> out) override {
    return in_libtorch([&]() -> size {
      const torch::NoGradGuard no_gradient;
      memory_.begin_pass();
      const auto result = is_gradient ? memory_.gradient_ : base_.sub_(theta());
      const auto norm =
          at::linalg_vector_norm(result, 2, at::OptionalIntArrayRef(), false, torch::kDouble);
      auto& copy = memory_.copy_;  // of the parameters no more, which are newer
      copy.narrow(0, 0, result.numel()).copy_(result, /*non_blocking=*/true);
      const auto rest = copy.numel() - result.numel();
      copy.narrow(0, result.numel(), rest)
          .copy_(memory_.parameters_.narrow(0, result.numel(), rest), /*non_blocking=*/true);
      const double length = norm.item<double>();
      wait_for(memory_.device_);
      const auto values = memory_.copy_span();
      std::copy(values.begin(), values.end(), out.begin());
      base_.reset();
      const auto statistics =
          values.subspan(memory_.trainable_, memory_.shared_ - memory_.trainable_);
      return {length, std::isfinite(length) && all_finite(statistics)};
    });
  }

 private:
  torch::Tensor theta() const {
    return memory_.parameters_.narrow(0, 0, signed_size(memory_.trainable_));
  }
  torch::Tensor averaged(const torch::Tensor& all) const {
    return all.narrow(0, signed_size(memory_.trainable_),
                      signed_size(memory_.shared_ - memory_.trainable_));
  }

  device_memory& memory_;
  device_optimizer optimizer_;
  torch::Tensor base_;  // trainable section
};

std::unique_ptr<round_vectors> device_memory::make_round_vectors(
    learner& model, const config::inner_section& inner) {
  return std::make_unique<vectors>(*this, model.layout(), inner);
}

}  // namespace rubato
