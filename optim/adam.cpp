// Adam on pseudo-gradients: m' = beta1 m + (1 - beta1) g; v' = beta2 v + (1 - beta2) g g; then
// theta' = theta - lr m^ / (sqrt(v^) + epsilon), where m^ and v^ are m' and v' divided by
// 1 - beta^(t+1). Weight decay is added to g by adam, and taken off theta by adamw: as LibTorch's.
#include <cmath>

#include "optim/merge_block.hpp"
#include "optim/methods.hpp"
#include "optim/power.hpp"

namespace rubato {

namespace {

class adam final : public outer_optimizer {
 public:
  adam(std::string_view name, const config::outer_section& outer, double added_decay,
       double decoupled_decay)
      : name_(name),
        lr_(outer.lr),
        beta1_(outer.beta1),
        beta2_(outer.beta2),
        epsilon_(static_cast<float>(outer.epsilon)),
        added_decay_(static_cast<float>(added_decay)),
        decoupled_rate_(static_cast<float>(outer.lr * decoupled_decay)) {}

  std::string_view name() const override { return name_; }
  std::vector<std::string_view> buffer_names() const override { return {"momentum", "variance"}; }

 private:
  void update(merge_block& block) const override {
    const std::uint64_t steps = block.t + 1;
    const auto rate = static_cast<float>(lr_ / (1.0 - power(beta1_, steps)));
    const auto correction = static_cast<float>(1.0 / std::sqrt(1.0 - power(beta2_, steps)));
    const auto decayed = block.g + added_decay_ * block.theta;
    auto m = block.state(0);
    auto v = block.state(1);
    m = static_cast<float>(beta1_) * m + static_cast<float>(1.0 - beta1_) * decayed;
    v = static_cast<float>(beta2_) * v + static_cast<float>(1.0 - beta2_) * decayed.square();
    block.theta_next = block.theta - (decoupled_rate_ * block.theta +
                                      rate * (m / (exact_sqrt(v) * correction + epsilon_)));
  }

  std::string_view name_;
  double lr_;
  double beta1_;
  double beta2_;
  float epsilon_;
  float added_decay_;
  float decoupled_rate_;
};

}  // namespace

std::unique_ptr<outer_optimizer> make_adam(const config::outer_section& outer,
                                           std::int64_t /*workers*/) {
  return std::make_unique<adam>("adam", outer, outer.weight_decay, 0.0);
}

std::unique_ptr<outer_optimizer> make_adamw(const config::outer_section& outer,
                                            std::int64_t /*workers*/) {
  return std::make_unique<adam>("adamw", outer, 0.0, outer.weight_decay);
}

}  // namespace rubato
