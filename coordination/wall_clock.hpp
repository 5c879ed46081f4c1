// Real time since the start of a run. The only place that reads a clock for the run's decisions;
// everything else is told what time it is.
#pragma once

#include <chrono>

#include "coordination/types.hpp"

namespace rubato {

/// Starts when it is made; its copies agree. Thread-safe.
class wall_clock {
 public:
  run_time now() const { return std::chrono::steady_clock::now() - start_; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace rubato
