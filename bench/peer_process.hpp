// A peer to be compared with, as a program of its own: it gets ready, then makes one measurement
// for each line that it is sent, and answers with its seconds. So both sides can be measured in
// turn, and starting an interpreter or warming up is not part of a measurement. The programs are in
// bench/peers/.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>

namespace rubato {

class peer_process {
 public:
  /// `command` is given to the shell, in the environment that the user gave: without the kernels
  /// that Rubato has chosen for itself (model/blas.hpp). Throws run_error if that cannot be
  /// started.
  explicit peer_process(std::string command);
  /// Closes its input, which ends it.
  ~peer_process();
  peer_process(const peer_process&) = delete;
  peer_process& operator=(const peer_process&) = delete;

  /// Seconds of one measurement, as the peer says. Throws run_error for any other answer.
  double measure();

 private:
  std::string command_;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
  pid_t child_ = -1;
};

}  // namespace rubato
