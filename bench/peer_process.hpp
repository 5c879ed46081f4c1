// A peer to be compared with, as a program of its own: it gets ready, then makes one measurement
// for each line that it is sent, and answers with its seconds. So both sides can be measured in
// turn, and starting an interpreter or warming up is not part of a measurement. The programs are in
// bench/peers/.
#pragma once

#include <string>

#include "bench/child_process.hpp"
#include "config/config.hpp"
#include "data/dataset.hpp"

namespace rubato {

class peer_process {
 public:
  /// `command` is given to the shell, in the environment that the user gave: without the kernels
  /// that Rubato has chosen for itself (model/blas.hpp). Throws run_error if that cannot be
  /// started.
  explicit peer_process(const std::string& command);

  /// Seconds of one measurement, as the peer says. Throws run_error for any other answer.
  double measure();

 private:
  std::string command_;
  child_process child_;
};

/// What bench/peers/step.py and train.py want to know of a transformer: layers, width, heads, size
/// of a head, hidden units, vocabulary, sequence length, batch size and threads. Throws usage_error
/// for other models.
std::string transformer_arguments(const config& c, const data_shape& shape);

}  // namespace rubato
