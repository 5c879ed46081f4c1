// What a data set is opened for: a machine that only trains does with fewer files.
#pragma once

#include <memory>

#include "data/dataset.hpp"

namespace rubato {

enum class data_use {
  all,
  training,  // nothing is evaluated: files that only evaluations read need not be there
};

/// As make_dataset(c), for that use. What is trained on is the same for both; held_out() may be
/// empty in a data set for training.
std::unique_ptr<dataset> make_dataset(const config& c, data_use use);

}  // namespace rubato
