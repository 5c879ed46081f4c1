// Plain SGD on pseudo-gradients: theta' = theta - lr g. With lr = 1 and the mean over all workers
// this is Local SGD (FedAvg).
#include "optim/merge_block.hpp"
#include "optim/methods.hpp"

namespace rubato {

namespace {

class sgd final : public outer_optimizer {
 public:
  explicit sgd(float lr) : lr_(lr) {}

  std::string_view name() const override { return "sgd"; }
  std::vector<std::string_view> buffer_names() const override { return {}; }

 private:
  void update(merge_block& block) const override { block.theta_next = block.theta - lr_ * block.g; }

  float lr_;
};

}  // namespace

std::unique_ptr<outer_optimizer> make_sgd(const config::outer_section& outer,
                                          std::int64_t /*workers*/) {
  return std::make_unique<sgd>(static_cast<float>(outer.lr));
}

}  // namespace rubato
