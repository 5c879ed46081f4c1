// `rubato bench memory`: what each worker more adds to the memory of a run, over what it must hold:
// the two moments of its AdamW, and the version that its round begins with or, when that is
// computed, its update. Not here: activations and gradients, of which each lane has one set however
// many workers there are.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rubato {

struct memory_bench_options {
  std::int64_t workers = 16;
  std::int64_t few = 2;  // workers to compare with, at least as many as lanes
};

struct memory_bench_report {
  memory_bench_options options;
  std::int64_t parameters = 0;
  double many = 0.0;  // bytes at most, with so many workers ...
  double few = 0.0;   // ... and with these

  double of_a_worker() const;
  double must_hold() const;
  double ratio() const { return of_a_worker() / must_hold(); }
};

/// Trains a transformer of 16M parameters on short sequences, with many workers and with
/// few, in processes of their own. Throws usage_error unless there are more of the many, run_error.
memory_bench_report measure_memory(const memory_bench_options& options,
                                   const std::function<void(std::string_view)>& told);

/// A table for people, and JSON.
std::string to_text(const memory_bench_report& report);
std::string to_json(const memory_bench_report& report);

}  // namespace rubato
