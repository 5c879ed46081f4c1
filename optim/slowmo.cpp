// SlowMo (arXiv 1910.00643): u' = beta u + g / gamma; theta' = theta - alpha gamma u', where g is
// the mean pseudo-gradient of a round, gamma the workers' learning rate at its start, and alpha is
// outer.lr. Divided by gamma, u stays a sum of gradients whatever schedule gamma follows.
#include <cmath>
#include <stdexcept>

#include "optim/merge_block.hpp"
#include "optim/methods.hpp"

namespace rubato {

namespace {

class slowmo final : public outer_optimizer {
 public:
  slowmo(double alpha, double beta) : alpha_(alpha), beta_(static_cast<float>(beta)) {}

  std::string_view name() const override { return "slowmo"; }
  std::vector<std::string_view> buffer_names() const override { return {"momentum"}; }

 private:
  void update(merge_block& block) const override {
    if (!(block.inner_lr > 0.0) || !std::isfinite(block.inner_lr)) {
      throw std::invalid_argument("slowmo: the workers' learning rate must be positive and finite");
    }
    auto u = block.state(0);
    u = beta_ * u + block.g / static_cast<float>(block.inner_lr);
    block.theta_next = block.theta - static_cast<float>(alpha_ * block.inner_lr) * u;
  }

  double alpha_;
  float beta_;
};

}  // namespace

std::unique_ptr<outer_optimizer> make_slowmo(const config::outer_section& outer,
                                             std::int64_t /*workers*/) {
  return std::make_unique<slowmo>(outer.lr, outer.momentum);
}

}  // namespace rubato
