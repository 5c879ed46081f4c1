// All of `rubato`, with an outer optimizer more: the sign of a running mean of pseudo-gradients
// decides on the direction (Lion, Chen et al. 2023, without weight decay).
//   own_method train ../config/toy.toml --outer.optimizer lion --outer.lr 0.005
#include <memory>
#include <rubato/outer_optimizer.hpp>
#include <rubato/run.hpp>

class lion final : public rubato::outer_optimizer {
 public:
  lion(double lr, double momentum, double mix)
      : lr_(static_cast<float>(lr)),
        momentum_(static_cast<float>(momentum)),
        mix_(static_cast<float>(mix)) {}

  std::string_view name() const override { return "lion"; }
  std::vector<std::string_view> buffer_names() const override { return {"momentum"}; }

 private:
  // Elementwise, on at most 1024 elements; zero where all is zero.
  void update(rubato::merge_block& block) const override {
    auto m = block.state(0);
    block.theta_next = block.theta - lr_ * (mix_ * m + (1.0F - mix_) * block.g).sign();
    m = momentum_ * m + (1.0F - momentum_) * block.g;
  }

  float lr_;
  float momentum_;
  float mix_;
};

int main(int argc, char** argv) {
  rubato::register_outer_optimizer(
      {.name = "lion",
       .help = "moves each parameter by outer.lr, in the direction of a mean of updates.",
       .keys = {{.name = "outer.mix",
                 .default_value = 0.9,
                 .help = "Share of the momentum in the direction of a step.",
                 .range = {.minimum = 0.0, .maximum = 1.0}}},
       .uses = {"outer.momentum"}},
      [](const rubato::config& c) {
        return std::make_unique<lion>(c.outer.lr, c.outer.momentum,
                                      rubato::setting<double>(c, "outer.mix"));
      });
  return rubato::run_program(argc, argv);
}
