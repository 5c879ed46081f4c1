// Register an outer method of your own: what the server makes of pseudo-gradients.
// `outer.optimizer` then names it.
//   rubato::register_outer_optimizer({.name = "mine"}, [](const rubato::config& c) {
//     return std::make_unique<my_method>(c.outer.lr);  // a rubato::outer_optimizer
//   });
// docs/adding-a-method.md derives one, and says what its update() has to keep to.
#pragma once

#include "optim/merge_block.hpp"
#include "optim/outer_optimizer.hpp"
