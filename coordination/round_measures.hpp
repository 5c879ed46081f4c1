// What is measured of a round in real time, for people to watch: nothing is decided by it, and no
// journal has it.
#pragma once

#include "coordination/types.hpp"

namespace rubato {

/// All real time, and 0 where nobody measured it.
struct round_measures {
  run_time lane{0};       // on the lane ...
  run_time data_wait{0};  // ... and how much of it passed without a batch to compute on
  // Over a link to another process, from the first word about a transfer to the last, waiting for
  // another transfer's end left out:
  run_time received{0};  // the version; 0 if it was there already
  run_time sent{0};      // the update
};

}  // namespace rubato
