// `rubato bench recovery`: how long it takes from files on a disk to the parameters that a killed
// run goes on with, against reading the same bytes and merging the same updates.
// Not here: starting actors and data loading, which a run needs in any case.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bench/measurement.hpp"
#include "config/config.hpp"

namespace rubato {

struct recovery_bench_options {
  std::string directory = {};             // on the disk; empty: for temporary files
  std::int64_t parameters = 150'000'000;  // of the model, which is made up
  std::int64_t updates = 8;               // in the journal, behind the checkpoint
  std::int64_t repeats = 5;               // measurements of each side, at least 1
};

struct recovery_bench_report {
  std::int64_t parameters = 0;
  std::int64_t updates = 0;
  std::uint64_t checkpoint_bytes = 0;
  std::uint64_t journal_bytes = 0;
  paired_times times;          // recovery, and reading and merging
  spread read_seconds{{0.0}};  // of the latter the part that is reading
};

/// Makes a checkpoint with the outer optimizer's state as `c` has it, and a journal of f32 updates.
/// Recovery: the newest checkpoint is checked and read, and the journal's updates are replayed.
/// The other side reads all bytes of these files in blocks, does nothing with them, and merges as
/// many updates that lie in memory. Before each measurement the files leave the system's cache.
/// Needs about ten times the parameters' memory, and that much room on the disk.
/// Throws usage_error if the files stay in the cache, as in a file system that lies in memory;
/// run_error, also if both sides end with different parameters; file_error.
recovery_bench_report measure_recovery(const config& c, const recovery_bench_options& options,
                                       const std::function<void(std::string_view)>& told);

/// A table for people, and JSON with every single measurement.
std::string to_text(const recovery_bench_report& report);
std::string to_json(const recovery_bench_report& report);

}  // namespace rubato
