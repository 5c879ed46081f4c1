// Nesterov momentum for answers that come late: m' = beta m + g;
// theta' = theta - lr ((1 + beta + ... + beta^(k-1)) g + beta^k m').
// Heavy-ball momentum, except that what is published is where its momentum alone would carry the
// parameters by the time the answer is merged: k merges ahead with k workers, so that a
// pseudo-gradient is computed near the place where it will be used. k = 1 is nesterov.
// docs/adding-a-method.md derives it.
#include "optim/merge_block.hpp"
#include "optim/methods.hpp"
#include "optim/power.hpp"

namespace rubato {

namespace {

class lookahead_nesterov final : public outer_optimizer {
 public:
  lookahead_nesterov(double lr, double beta, std::uint64_t ahead)
      : lr_(static_cast<float>(lr)),
        beta_(static_cast<float>(beta)),
        share_of_momentum_(static_cast<float>(power(beta, ahead))),
        share_of_g_(static_cast<float>((1.0 - power(beta, ahead)) / (1.0 - beta))) {}

  std::string_view name() const override { return "lookahead-nesterov"; }
  std::vector<std::string_view> buffer_names() const override { return {"momentum"}; }

 private:
  void update(merge_block& block) const override {
    auto m = block.state(0);
    m = beta_ * m + block.g;
    block.theta_next = block.theta - lr_ * (share_of_g_ * block.g + share_of_momentum_ * m);
  }

  float lr_;
  float beta_;
  float share_of_momentum_;  // beta^k
  float share_of_g_;         // 1 + beta + ... + beta^(k-1)
};

}  // namespace

std::unique_ptr<outer_optimizer> make_lookahead_nesterov(const config::outer_section& outer,
                                                         std::int64_t workers) {
  return std::make_unique<lookahead_nesterov>(outer.lr, outer.momentum,
                                              static_cast<std::uint64_t>(workers));
}

}  // namespace rubato
