// Register rules of your own: what an update counts for its staleness (`staleness.weight`), and how
// many local steps a worker takes in a round (`quota.policy`).
//   rubato::register_staleness_rule({.name = "mine"}, [](const rubato::config&) {
//     return [](double staleness) { return 1.0 / (1.0 + staleness); };
//   });
#pragma once

#include "coordination/own_policies.hpp"
