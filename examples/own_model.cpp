// All of `rubato`, with a network and a data set more: own_model train own_model.toml
#include <memory>
#include <rubato/run.hpp>

#include "spirals.hpp"

int main(int argc, char** argv) {
  rubato::register_dataset(
      {.name = "spirals",
       .help = "points on two arms of a spiral.",
       .keys = {{.name = "data.turns",
                 .default_value = 1.0,
                 .help = "Of an arm around the centre."}}},
      [](const rubato::config& c) {
        return std::make_unique<spirals>(rubato::setting<double>(c, "data.turns"));
      });
  rubato::register_network(
      {.name = "spiral-net", .help = "two hidden layers of tanh.", .uses = {"model.width"}},
      [](const rubato::config& c, const rubato::data_shape&) {
        const auto net = std::make_shared<spiral_net>(c.model.width);
        const auto loss = [net](const rubato::batch_tensors& b) {
          return torch::nn::functional::cross_entropy(net->forward(b.inputs), b.targets);
        };
        const auto correct = [net](const rubato::batch_tensors& b) {
          return net->forward(b.inputs).argmax(1).eq(b.targets).sum();
        };
        return rubato::trainable{net, loss, correct};
      });
  return rubato::run_program(argc, argv);
}
