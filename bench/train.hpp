// `rubato bench train`: whole training, side by side with what a user would take instead: as many
// processes of PyTorch that train the same transformer with DiLoCo over torch.distributed. Both
// take the same local steps on the real clock, with as many threads, and average after each round.
// Not here: the step alone (bench/step.hpp), and how well anything trains.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bench/measurement.hpp"
#include "config/config.hpp"
#include "monitoring/observer.hpp"

namespace rubato {

struct train_bench_options {
  std::int64_t rounds = 3;         // of a measurement; one more before it
  std::int64_t repeats = 5;        // measurements of each side, at least 1
  std::int64_t vocabulary = 8192;  // random tokens, so many different ones
  // See peer_process. It is given the transformer's size, threads, local steps, workers and rounds.
  std::string peer = "python3 bench/peers/train.py f32";
};

struct train_bench_report {
  run_plan plan;
  std::string peer;
  std::int64_t local_steps = 0;  // H
  std::int64_t rounds = 0;
  std::int64_t tokens = 0;  // of a measurement
  paired_times times;       // ours, and the peer's
};

/// workers.count workers of `c` train its transformer in synchronous rounds of quota.local_steps,
/// with outer Nesterov momentum; each has a lane of its own. Without journal and checkpoints, which
/// the peer has not either. Throws usage_error and run_error as run_training() does.
train_bench_report measure_train(const config& c, const train_bench_options& options,
                                 const std::function<void(std::string_view)>& told);

/// A table for people, and JSON with every single measurement.
std::string to_text(const train_bench_report& report);
std::string to_json(const train_bench_report& report);

}  // namespace rubato
