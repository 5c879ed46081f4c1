// `rubato bench step --bare`: how fast local steps are, by real time, where workers.device says: of
// one worker, of several at once, and of a peer that takes the same steps; and what share of the
// processor's peak that is. Without actors, so that it can be built where there is no CAF.
// Not here: what the actor runtime costs (step.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/measurement.hpp"
#include "config/config.hpp"
#include "data/dataset.hpp"

namespace rubato {

struct step_options {
  std::int64_t steps = 0;    // local steps of a measurement, made whole rounds; 0: three seconds
  std::int64_t repeats = 7;  // measurements of each side, at least 1
  // So many different random tokens instead of the data that the configuration names; 0: its data.
  std::int64_t vocabulary = 0;
  // A command like "python3 bench/peers/step.py f32", see peer_process; empty: none. It is given
  // the transformer's size, threads and steps.
  std::string peer = {};
  // Without actors alone: so many workers at once besides one by itself, at least 1, and what the
  // device can do at most, in dense products of the run's precision; 0: nobody says.
  std::int64_t lanes = 1;
  double peak_tflops = 0.0;
};

struct rate_report {
  std::string device;
  std::string precision;
  std::string unit;
  std::int64_t parameters = 0;
  std::int64_t tokens_per_step = 0;
  std::int64_t steps = 0;  // of a measurement, by each worker
  std::int64_t lanes = 1;
  double flops_per_token = 0.0;  // see training_flops(); 0: not known
  double peak_tflops = 0.0;
  std::vector<double> seconds;        // of one worker by itself, in each repeat
  std::optional<paired_times> crowd;  // of all lanes at once, and of one by itself
  std::optional<paired_times> peer;   // of one by itself, and of the peer

  /// Medians, of one worker by itself ...
  double tokens_per_second() const;
  /// ... and of all lanes together, where there are several.
  double tokens_per_second_together() const;
};

/// What a transformer computes for one token of a training step, forwards and backwards: 6 N for
/// the products with its N parameters, without those that are only looked up (positions, and tokens
/// unless they are the output matrix as well), and 12 * layers * heads * head_size * sequence for
/// attention, as if it saw all of the sequence (PaLM, arXiv 2204.02311, appendix B). Steps of the
/// optimizer and whatever is computed twice (model.recompute) are time, but no work. 0 for other
/// models.
double training_flops(const config& c, const data_shape& shape, std::int64_t parameters);

/// One worker takes whole rounds on the first device, after a warm-up; then, in turn with that,
/// options.lanes of them at once, each on its own thread and the device that is its turn, and the
/// peer. Their time is all of it: batches, local steps, pseudo-gradients, and the next base.
/// Throws usage_error if config and device do not go together, run_error if computing fails.
rate_report measure_rate(const config& c, const step_options& options,
                         const std::function<void(std::string_view)>& told);

/// A table for people, and JSON with every single measurement.
std::string to_text(const rate_report& report);
std::string to_json(const rate_report& report);

}  // namespace rubato
