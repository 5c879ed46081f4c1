// Register a network of your own: a torch::nn::Module and its loss. `model.kind` then names it.
//   rubato::register_network({.name = "mine"}, [](const rubato::config&, const rubato::data_shape&)
//   {
//     auto net = std::make_shared<my_net>();
//     return rubato::trainable{net, [net](const rubato::batch_tensors& b) {
//       return torch::nll_loss(net->forward(b.inputs), b.targets);
//     }};
//   });
#pragma once

#include "model/trainable.hpp"
