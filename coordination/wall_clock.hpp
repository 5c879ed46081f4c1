// Real time since the start of a run. The only place that reads a clock for the run's decisions;
// everything else is told what time it is.
#pragma once

#include <chrono>

#include "coordination/types.hpp"

namespace rubato {

/// Starts when it is made, from 0 or from the time that had passed before a run was resumed; its
/// copies agree. Thread-safe.
class wall_clock {
 public:
  explicit wall_clock(run_time passed = run_time{0})
      : start_(std::chrono::steady_clock::now() - passed) {}

  run_time now() const { return std::chrono::steady_clock::now() - start_; }

 private:
  std::chrono::steady_clock::time_point start_;
};

}  // namespace rubato
