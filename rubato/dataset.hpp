// Register a data set of your own: so many examples, and batches of them by number. `data.kind`
// then names it.
//   rubato::register_dataset({.name = "mine"}, [](const rubato::config&) {
//     return std::make_unique<my_data>();  // a rubato::map_dataset
//   });
#pragma once

#include "data/map_dataset.hpp"
