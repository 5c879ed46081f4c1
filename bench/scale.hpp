// `rubato bench scale`: what thousands of workers cost in one process on the virtual clock. How
// many updates are settled in a second, against CAF's messages between as many actors that do
// nothing; how the time of an update and the memory grow with the workers; and how much of the
// lanes' time is left for steps where each of them is an update. Not here: how long real steps take
// (bench/step.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/measurement.hpp"

namespace rubato {

struct scale_bench_options {
  std::int64_t workers = 2000;
  std::int64_t few = 20;           // workers to compare with
  std::int64_t parameters = 1000;  // of a learner without network
  std::int64_t updates = 200'000;  // of a run, one step each
  std::int64_t repeats = 5;        // measurements of each, at least 1
};

struct scale_bench_report {
  /// Updates a second, one measurement each.
  struct side {
    std::vector<double> many;
    std::vector<double> few;

    /// Time of an update with many workers over that with few, median of the pairs.
    double growth() const;
  };

  scale_bench_options options;
  std::int64_t lanes = 0;
  side merging;                     // with that many parameters
  side events;                      // with 16: next to nothing is merged
  std::vector<double> round_trips;  // a second, between as many actors; beside merging.many
  double memory_per_worker = 0.0;   // bytes

  /// A small network that takes real steps: a second, beside each other.
  struct {
    std::int64_t parameters = 0;
    std::vector<double> updates;         // one step each
    std::vector<double> steps;           // of one thread without actors
    std::vector<double> steps_together;  // of as many such threads at once as lanes
  } network;
};

/// Runs `rubato train` again and again, in turn. Throws run_error.
scale_bench_report measure_scale(const scale_bench_options& options,
                                 const std::function<void(std::string_view)>& told);

/// A table for people, and JSON with every single measurement.
std::string to_text(const scale_bench_report& report);
std::string to_json(const scale_bench_report& report);

}  // namespace rubato
