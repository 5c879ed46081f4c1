// `rubato bench step`: what the actor runtime costs. The CPU time of one worker inside a real run,
// against the same learner on the same batches in a loop without actors; and how fast that loop is
// beside a peer that takes the same steps.
// Not here: how fast a machine is; all sides run the same model on the same machine.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/run.hpp"
#include "bench/measurement.hpp"
#include "bench/step_rate.hpp"
#include "bench/stopwatch.hpp"
#include "config/config.hpp"

namespace rubato {

struct step_report {
  std::string cpu;  // the model's name, or "unknown"
  unsigned cores = 0;
  run_plan plan;                     // of the worker's run: BLAS, precision, parameters, unit
  std::int64_t tokens_per_step = 0;  // or points
  std::int64_t steps = 0;            // of a measurement
  std::int64_t round_steps = 0;      // of these in a round
  std::vector<step_cost> bare;       // one for each repeat; those with the same index are a pair,
  std::vector<step_cost> runtime;    // made right after each other
  std::string params_sha256;         // that every measurement ended with
  std::optional<paired_times> peer;  // real time of the bare loop, and of the peer

  /// CPU time per token, in the runtime over bare: the ratio of the two medians, ...
  double ratio_of_medians() const;
  /// ... and the median of the pairs' ratios, which a drift of the machine touches less.
  double median_of_ratios() const;
};

/// Measures both sides `repeats` times, in turn, after a warm-up of each.
///
/// One worker trains as `c` says about model, data and inner optimizer, in rounds of
/// quota.local_steps; the server takes its results as they are (SGD, learning rate 1). Both sides
/// do the same rounds and must end with the same bits. The time of a side goes from the end of one
/// round to the end of the last: it has everything that a round needs (batches, inner steps,
/// pseudo-gradient, the next version; in the runtime also messages, decisions and the ledger), but
/// not the start, the two evaluations and the files of a run, which do not grow with its length.
///
/// With options.peer the bare loop and the peer are measured in turn after that, by real time.
///
/// `parts` are as in run_training(), for tests; `told` receives a line for a person after each
/// pair. Throws usage_error and run_error as run_training() does, and run_error if the two sides
/// did not do the same or the measurement was too short.
step_report measure_step(const config& c, const step_options& options,
                         const std::function<void(std::string_view)>& told, run_parts parts = {});

/// A table for people, and JSON with every single measurement.
std::string to_text(const step_report& report);
std::string to_json(const step_report& report);

}  // namespace rubato
