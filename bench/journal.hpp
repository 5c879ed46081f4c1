// `rubato bench journal`: how fast the journal writes, against `dd` with the same blocks and as
// many syncs on the same disk. Not here: what journalling costs a run, which depends on the run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bench/measurement.hpp"

namespace rubato {

struct journal_bench_options {
  std::string directory = {};                           // on the disk; empty: for temporary files
  std::uint64_t update_bytes = std::uint64_t{4} << 20;  // encoded, of each record
  std::int64_t group_updates = 1;                       // records that share a sync
  std::int64_t groups = 64;                             // of a measurement
  std::int64_t repeats = 7;                             // measurements of each side, at least 1
};

struct journal_bench_report {
  std::uint64_t block_bytes = 0;  // of a group on the disk, and of dd's blocks
  std::int64_t groups = 0;
  paired_times times;  // the journal, and dd

  /// The journal's speed over dd's.
  double speed() const { return 1.0 / times.median_of_ratios(); }
};

/// Both sides create a file, write `groups` blocks to it and make each durable before the next:
/// journal_writer::commit(), and `dd oflag=dsync`. Everything counts, dd's start too. Both write
/// zeros, and the files are removed. Throws run_error, also if there is no dd, and file_error.
journal_bench_report measure_journal(const journal_bench_options& options,
                                     const std::function<void(std::string_view)>& told);

/// A table for people, and JSON with every single measurement.
std::string to_text(const journal_bench_report& report);
std::string to_json(const journal_bench_report& report);

}  // namespace rubato
