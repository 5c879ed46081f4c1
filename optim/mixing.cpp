// FedAsync (arXiv 1903.03934): theta' = (1 - a) theta + a theta_end, where theta_end is what the
// worker ended with and a = lr times the update's weight. With g measured from the current
// parameters, weight (theta - theta_end), that is theta' = theta - lr g.
#include "optim/merge_block.hpp"
#include "optim/methods.hpp"

namespace rubato {

namespace {

class mixing final : public outer_optimizer {
 public:
  explicit mixing(float lr) : lr_(lr) {}

  std::string_view name() const override { return "mixing"; }
  std::vector<std::string_view> buffer_names() const override { return {}; }
  bool measures_from_current() const override { return true; }

 private:
  void update(merge_block& block) const override { block.theta_next = block.theta - lr_ * block.g; }

  float lr_;
};

}  // namespace

std::unique_ptr<outer_optimizer> make_mixing(const config::outer_section& outer,
                                             std::int64_t /*workers*/) {
  return std::make_unique<mixing>(static_cast<float>(outer.lr));
}

}  // namespace rubato
