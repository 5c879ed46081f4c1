// The perceptron of the toy of arXiv 2401.09135: one hidden layer of ReLU over a point's features,
// and its classes' logits. Its initial values are those of PyTorch's Linear.
#include <cmath>
#include <string>

#include "config/random.hpp"
#include "model/network.hpp"

namespace rubato {

namespace {

class mlp final : public network {
 public:
  mlp(std::int64_t width, const data_shape& shape) {
    layout_.add("hidden.weight", {width, shape.features});
    layout_.add("hidden.bias", {width});
    layout_.add("output.weight", {shape.classes, width});
    layout_.add("output.bias", {shape.classes});
  }

  const parameter_layout& layout() const override { return layout_; }

  void attach(const std::vector<torch::Tensor>& tensors) override { tensors_ = tensors; }

  torch::Tensor logits(const torch::Tensor& points, batch_statistics) const override {
    const auto hidden = at::linear(points, tensors_[0], tensors_[1]).relu_();
    return at::linear(hidden, tensors_[2], tensors_[3]);
  }

 private:
  parameter_layout layout_;
  std::vector<torch::Tensor> tensors_;  // in the layout's order
};

}  // namespace

std::unique_ptr<network> make_mlp(const config::model_section& options, const data_shape& shape) {
  return std::make_unique<mlp>(options.width, shape);
}

void initialize_mlp(std::uint64_t seed, const parameter_layout& layout,
                    std::span<float> parameters) {
  const auto& tensors = layout.tensors();
  double limit = 0.0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const tensor_entry& tensor = tensors[i];
    // A bias follows its matrix and has the same limit.
    if (tensor.shape.size() == 2) limit = 1.0 / std::sqrt(static_cast<double>(tensor.shape[1]));
    random_generator random(seed, random_stream::initial_parameters, {i});
    for (float& x : parameters.subspan(tensor.offset, tensor.size)) {
      x = static_cast<float>((2.0 * random.uniform() - 1.0) * limit);
    }
  }
}

}  // namespace rubato
