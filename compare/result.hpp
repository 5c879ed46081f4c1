// What a finished cell tells: read from the files of its run directory, so that a resumed
// comparison gives the same tables as one that was never cut off.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rubato {

/// An evaluation and what it had cost to get there.
struct curve_point {
  double local_steps = 0.0;
  double tokens = 0.0;
  double seconds = 0.0;  // virtual
  double bytes = 0.0;    // both ways
  double loss = 0.0;     // infinite if it was no number
};

/// The last so many evaluations are averaged for `final_loss`: one alone is noisier.
inline constexpr std::size_t evaluations_averaged = 3;

struct cell_result {
  bool diverged = false;
  std::string unit;            // "token" or "point"
  std::string evaluated_on;    // "held-out" or "training"
  double initial_loss = 0.0;   // before the first step
  double final_loss = 0.0;     // the mean of the last three evaluations; infinite if diverged
  double last_loss = 0.0;      // the last evaluation alone; the same
  double accuracy = 0.0;       // top-1, of the last evaluation
  double top5 = 0.0;           // the same; NaN where it is not measured
  double bits_per_byte = 0.0;  // NaN where there is no text
  double local_steps = 0.0;
  double tokens = 0.0;
  double seconds = 0.0;  // virtual
  double bytes_down = 0.0;
  double bytes_up = 0.0;
  double workers = 0.0;
  double parameters = 0.0;
  double versions = 0.0;     // that the server made
  double epochs = 0.0;       // tokens by the training data's size; NaN if it is not recorded
  double staleness = 0.0;    // mean
  double utilisation = 0.0;  // of the workers' virtual time
  std::int64_t applied = 0;
  std::int64_t stale = 0;
  double wall_seconds = 0.0;
  std::string params_sha256;
  std::vector<curve_point> curve;  // from before the first step on

  double bytes() const { return bytes_down + bytes_up; }
  double bytes_a_worker() const { return bytes() / workers; }
  double seconds_an_epoch() const { return seconds / epochs; }
};

/// The result in a run directory; none if the run did not get to its end (or was interrupted).
/// Throws run_error, naming the file, if a file of a finished run is missing or not what it should
/// be.
std::optional<cell_result> read_result(const std::string& directory);

}  // namespace rubato
