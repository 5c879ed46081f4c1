// Nesterov momentum (arXiv 2401.09135, Eq 4): m' = beta m + g; theta' = theta - lr (g + beta m').
// The outer optimizer of DiLoCo; applied to each arrival in turn, of Async DiLoCo.
#include "optim/merge_block.hpp"
#include "optim/methods.hpp"

namespace rubato {

namespace {

class nesterov final : public outer_optimizer {
 public:
  nesterov(float lr, float beta) : lr_(lr), beta_(beta) {}

  std::string_view name() const override { return "nesterov"; }
  std::vector<std::string_view> buffer_names() const override { return {"momentum"}; }

 private:
  void update(merge_block& block) const override {
    auto m = block.state(0);
    m = beta_ * m + block.g;
    block.theta_next = block.theta - lr_ * (block.g + beta_ * m);
  }

  float lr_;
  float beta_;
};

}  // namespace

std::unique_ptr<outer_optimizer> make_nesterov(const config::outer_section& outer,
                                               std::int64_t /*workers*/) {
  return std::make_unique<nesterov>(static_cast<float>(outer.lr),
                                    static_cast<float>(outer.momentum));
}

}  // namespace rubato
