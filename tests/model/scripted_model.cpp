// Writes a module for the tests of the program, as Python would save it, so that they need no
// Python: scripted_model PATH [throws]. It tells two classes of points of two coordinates apart;
// one that throws does so when training has moved it by a little.
#include <torch/script.h>

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  torch::manual_seed(1);
  torch::jit::Module module("classifier");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.register_parameter("up", (torch::randn({16, 2}) * 0.5).set_requires_grad(true), false);
  module.register_parameter("down", (torch::randn({2, 16}) * 0.25).set_requires_grad(true), false);
  module.register_parameter("offset", torch::zeros({2}).set_requires_grad(true), false);
  module.register_buffer("first", module.attr("up").toTensor().detach().clone());
  module.register_buffer("mean", torch::zeros({16}));
  module.register_buffer("variance", torch::ones({16}));
  const std::string check =
      "    if self.training:\n"
      "        assert bool((self.up - self.first).abs().max() < 0.05), 'moved too far'\n";
  module.define(
      "def forward(self, x: Tensor, y: Tensor):\n" + (argc > 2 ? check : std::string()) +
      "    z = torch.batch_norm(torch.linear(x, self.up), None, None, self.mean, self.variance,\n"
      "                         self.training, 0.1, 1e-5, False)\n"
      "    z = torch.linear(torch.relu(z), self.down, self.offset)\n"
      "    hits = (z.argmax(1) == y).float().mean()\n"
      "    return torch.nll_loss(torch.log_softmax(z, 1), y), {'accuracy': hits}\n");
  module.save(argv[1]);
  return 0;
}
