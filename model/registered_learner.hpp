// The learner of networks that a program has registered (trainable.hpp). No LibTorch in it.
#pragma once

#include "config/config.hpp"
#include "data/dataset.hpp"
#include "model/learner.hpp"

namespace rubato {

/// For the registered network that model.kind names; empty if that is one of Rubato's own. A fresh
/// learner has the initial parameters that the network was made with.
learner_factory make_registered_learner_factory(const config& c, const data_shape& shape);

}  // namespace rubato
