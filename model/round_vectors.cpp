#include "model/round_vectors.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "config/instruction_set.hpp"
#include "model/learner.hpp"
#include "optim/reductions.hpp"

namespace rubato {
namespace {

class host_vectors final : public round_vectors {
 public:
  host_vectors(learner& model, const config::inner_section& inner)
      : model_(model), optimizer_(make_inner_optimizer(inner, model.layout())) {}

  void begin(version_ptr base) override { base_ = std::move(base); }

  void pull_to_base(float rho) override {
    const auto theta = model_.parameters();
    const auto g = model_.gradient();
    const float* base = base_->data();
    const std::size_t count = trainable();
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < count; ++i) g[i] += rho * (theta[i] - base[i]);
    });
  }

  void step(inner_state& state, double lr) override {
    optimizer_->step(model_.parameters().first(trainable()), model_.gradient().first(trainable()),
                     state, lr);
  }

  void take_over(version_ptr version) override {
    const auto theta = model_.parameters();
    const float* base = base_->data();
    const float* values = version->data();
    const std::size_t count = trainable();
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < count; ++i) theta[i] = values[i] + (theta[i] - base[i]);
    });
    std::copy(values + count, values + shared(), theta.data() + count);
    base_ = std::move(version);
  }

  size finish(bool is_gradient, std::span<float> out) override {
    const std::span<const float> theta = model_.parameters();
    const std::size_t count = trainable();
    if (is_gradient) {
      const auto g = model_.gradient().first(count);
      std::copy(g.begin(), g.end(), out.begin());
    } else {
      const float* base = base_->data();
      vectorised([=] {
        RUBATO_ELEMENTWISE
        for (std::size_t i = 0; i < count; ++i) out[i] = base[i] - theta[i];
      });
    }
    const auto rest = theta.subspan(count);
    std::copy(rest.begin(), rest.end(), out.subspan(count).begin());
    base_.reset();
    return {std::sqrt(sum_of_squares(out.first(count))), all_finite(out.first(shared()))};
  }

 private:
  std::size_t trainable() const { return model_.layout().end(section::trainable); }
  std::size_t shared() const { return model_.layout().end(section::averaged); }

  learner& model_;
  std::unique_ptr<inner_optimizer> optimizer_;
  version_ptr base_;
};

}  // namespace

std::unique_ptr<round_vectors> make_host_vectors(learner& model,
                                                 const config::inner_section& inner) {
  return std::make_unique<host_vectors>(model, inner);
}

}  // namespace rubato
