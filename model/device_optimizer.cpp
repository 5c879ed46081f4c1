#include "model/device_optimizer.hpp"

#include <cmath>
#include <memory>
#include <stdexcept>
#include <utility>

#include "optim/power.hpp"

namespace rubato {
namespace {

class device_buffers final : public distant_buffers {
 public:
  explicit device_buffers(std::vector<torch::Tensor> tensors) : tensors_(std::move(tensors)) {}

  const std::vector<torch::Tensor>& tensors() const { return tensors_; }

  bool are_on(torch::Device device) const {
    return tensors_.empty() || tensors_.front().device() == device;
  }

  std::vector<buffer_ptr> fetch() const override {
    const torch::NoGradGuard no_gradient;
    std::vector<buffer_ptr> buffers;
    for (const auto& tensor : tensors_) {
      buffers.push_back(
          std::make_shared<parameter_buffer>(static_cast<std::size_t>(tensor.numel())));
      torch::from_blob(buffers.back()->data(), tensor.sizes()).copy_(tensor);
    }
    return buffers;
  }

 private:
  std::vector<torch::Tensor> tensors_;
};

/// The state's buffers, so many, on theta's device from now on.
const std::vector<torch::Tensor>& buffers_beside(const torch::Tensor& theta, inner_state& state,
                                                 std::size_t count) {
  const auto* there = dynamic_cast<const device_buffers*>(state.distant.get());
  if (there != nullptr && there->are_on(theta.device())) return there->tensors();
  std::vector<torch::Tensor> tensors;
  for (const auto& buffer : buffers_of(state)) {
    if (static_cast<std::int64_t>(buffer->size()) != theta.numel() || tensors.size() == count) {
      throw std::invalid_argument("device_optimizer: the state is not of the layout's size");
    }
    tensors.push_back(torch::from_blob(buffer->data(), theta.sizes())
                          .to(theta.device(), torch::kFloat, /*non_blocking=*/false,
                              /*copy=*/true));
  }
  while (tensors.size() < count) tensors.push_back(torch::zeros_like(theta));
  const auto moved = std::make_shared<device_buffers>(std::move(tensors));
  state.buffers.clear();
  state.distant = moved;
  return moved->tensors();
}

/// A scalar on the same device: nobody waits for it.
torch::Tensor norm_of(const torch::Tensor& x) {
  return at::linalg_vector_norm(x, 2, at::OptionalIntArrayRef(), false, torch::kDouble);
}

std::size_t buffers_for(const config::inner_section& inner) {
  if (inner.optimizer == "sgd") return 0;
  return inner.optimizer == "adamw" ? 2 : 1;
}

}  // namespace

device_optimizer::device_optimizer(const config::inner_section& inner,
                                   const parameter_layout& layout)
    : inner_(inner),
      buffers_(buffers_for(inner)),
      size_(static_cast<std::int64_t>(layout.end(section::trainable))) {
  bool goes_on = false;
  for (const auto& t : layout.tensors()) {
    if (t.part != section::trainable) continue;
    const range here{static_cast<std::int64_t>(t.offset), static_cast<std::int64_t>(t.size)};
    const bool is_left_out = inner.weight_decay_on == "matrices" && t.shape.size() < 2;
    if (!is_left_out) {
      tensors_.push_back(here);
      if (!goes_on) decayed_.push_back(here);
      decayed_.back().size = here.offset + here.size - decayed_.back().offset;
    }
    goes_on = !is_left_out;
  }
}

void device_optimizer::step(const torch::Tensor& theta, const torch::Tensor& g, inner_state& state,
                            double lr) const {
  const torch::NoGradGuard no_gradient;
  if (theta.numel() != size_ || g.numel() != size_) {
    throw std::invalid_argument(
        "device_optimizer: parameters or gradient are not of the layout's size");
  }
  const auto& buffers = buffers_beside(theta, state, buffers_);
  state.steps += 1;
  if (inner_.clip > 0.0) {
    g.mul_((inner_.clip / (norm_of(g) + 1e-6)).clamp_max(1.0).to(torch::kFloat));
  }
  if (inner_.optimizer == "adamw") {
    step_adamw(theta, g, buffers, state.steps, lr);
  } else {
    step_along_momentum(theta, g, buffers, lr);
  }
}

/// g := local_rate * (g + decay * theta), tensor by tensor.
void device_optimizer::scale_by_layer(const torch::Tensor& theta, const torch::Tensor& g) const {
  for (const auto& [offset, size] : tensors_) {
    const auto weights = theta.narrow(0, offset, size);
    const auto gradient = g.narrow(0, offset, size);
    const auto w = norm_of(weights);
    const auto length = norm_of(gradient);
    const auto rate = inner_.trust * w / (length + inner_.weight_decay * w + inner_.epsilon);
    gradient.add_(weights, inner_.weight_decay)
        .mul_(rate.masked_fill(w.eq(0).logical_or(length.eq(0)), 1.0).to(torch::kFloat));
  }
}

void device_optimizer::step_along_momentum(const torch::Tensor& theta, const torch::Tensor& g,
                                           const std::vector<torch::Tensor>& buffers,
                                           double lr) const {
  if (inner_.optimizer == "lars") {
    scale_by_layer(theta, g);
  } else if (inner_.weight_decay > 0.0) {
    for (const auto& [offset, size] : decayed_) {
      g.narrow(0, offset, size).add_(theta.narrow(0, offset, size), inner_.weight_decay);
    }
  }
  if (buffers.empty()) {
    theta.add_(g, -lr);
    return;
  }
  const auto& m = buffers[0];
  m.mul_(inner_.momentum).add_(g);
  if (inner_.optimizer == "nesterov") {
    theta.add_(g.add_(m, inner_.momentum), -lr);
  } else {
    theta.add_(m, -lr);
  }
}

void device_optimizer::step_adamw(const torch::Tensor& theta, const torch::Tensor& g,
                                  const std::vector<torch::Tensor>& buffers, std::uint64_t count,
                                  double lr) const {
  const auto& m = buffers[0];
  const auto& v = buffers[1];
  m.mul_(inner_.beta1).add_(g, 1.0 - inner_.beta1);
  v.mul_(inner_.beta2).addcmul_(g, g, 1.0 - inner_.beta2);
  if (inner_.weight_decay > 0.0) {
    for (const auto& [offset, size] : decayed_) {
      theta.narrow(0, offset, size).mul_(1.0 - lr * inner_.weight_decay);
    }
  }
  // g has been used, so what m is divided by can be there.
  auto divisor = g;
  at::sqrt_out(divisor, v)
      .mul_(1.0 / std::sqrt(1.0 - power(inner_.beta2, count)))
      .add_(inner_.epsilon);
  theta.addcdiv_(m, divisor, -lr / (1.0 - power(inner_.beta1, count)));
}

}  // namespace rubato
