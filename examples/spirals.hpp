// A network and a data set of one's own: two spirals around each other, to be told apart.
#pragma once

#include <cmath>
#include <rubato/dataset.hpp>
#include <rubato/network.hpp>

/// Points on two spiral arms. The n-th is a function of n, so nothing is kept.
class spirals final : public rubato::map_dataset {
 public:
  explicit spirals(double turns) : turns_(turns) {}

  std::uint64_t size() const override { return 4000; }
  rubato::data_shape shape() const override { return {.features = 2, .classes = 2}; }

  rubato::batch get(std::span<const std::uint64_t> numbers) const override {
    rubato::batch b{.examples = static_cast<std::int64_t>(numbers.size()), .length = 2};
    for (const auto n : numbers) {
      const double radius = static_cast<double>(n / 2 + 1) / 2000.0;
      const double angle = radius * turns_ * 2.0 * M_PI + (n % 2 == 0 ? 0.0 : M_PI);
      b.features.push_back(static_cast<float>(radius * std::cos(angle)));
      b.features.push_back(static_cast<float>(radius * std::sin(angle)));
      b.labels.push_back(static_cast<std::int32_t>(n % 2));
    }
    return b;
  }

 private:
  double turns_;
};

/// Two hidden layers, as one would write them without Rubato.
struct spiral_net : torch::nn::Module {
  explicit spiral_net(std::int64_t width)
      : first(register_module("first", torch::nn::Linear(2, width))),
        second(register_module("second", torch::nn::Linear(width, width))),
        last(register_module("last", torch::nn::Linear(width, 2))) {}

  torch::Tensor forward(const torch::Tensor& points) {
    return last(torch::tanh(second(torch::tanh(first(points)))));
  }

  torch::nn::Linear first, second, last;
};
