// What happens to workers while a run goes on, as workers.events says it: a pace that changes, a
// slow-down, a pause, a worker that leaves and comes back. Only the words are understood here;
// what they do to a run's times is coordination/tempo.hpp's.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace rubato {

struct worker_event {
  enum class kind : std::uint8_t {
    pace,       // from now on `value` seconds a step
    slow_down,  // `value` times as long a step
    pause,      // no steps
    leave,      // lose the round and be gone
  };

  double at = 0.0;         // seconds on the run's clock
  std::int64_t first = 0;  // the workers it happens to
  std::int64_t last = 0;
  kind what = kind::pace;
  double value = 0.0;
  double duration = std::numeric_limits<double>::infinity();  // seconds; infinite: for good
};

/// Reads "TIME WORKER pace SECONDS", "TIME WORKER slow-down FACTOR [DURATION]", "TIME WORKER pause
/// DURATION" or "TIME WORKER leave [DURATION]"; WORKER is a number, "FIRST-LAST" or "all".
/// Throws usage_error with what is wrong and what is allowed, without the name of the key.
worker_event parse_worker_event(const std::string& text, std::int64_t workers);

}  // namespace rubato
