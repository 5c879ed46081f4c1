// `rubato bench merge`: how fast an outer step is, as bytes that must move over the time it takes,
// against a STREAM triad; what decoding on the way saves; and against a peer that is given.
// Not here: what surrounds a step in a run (`bench step`).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "bench/measurement.hpp"
#include "config/config.hpp"

namespace rubato {

struct merge_bench_options {
  std::int64_t parameters = 150'000'000;
  std::int64_t repeats = 9;    // measurements of each side, at least 1
  std::string codec = "int8";  // of the update that is decoded on the way
  std::string peer = {};       // a command, see peer_process; empty: none
};

struct merge_bench_report {
  std::string optimizer;
  std::int64_t parameters = 0;
  std::int64_t threads = 0;
  std::int64_t merge_bytes = 0;  // a parameter: what a merge must read and write at least
  paired_times triad;            // a merge of an f32 update, and a triad
  std::string codec;
  paired_times decoding;  // a merge that decodes on the way, and one after decoding
  std::optional<paired_times> peer;

  /// Bandwidth of the merge over that of the triad, of which 12 bytes an element count.
  double of_triad() const;
};

/// One update after the other is merged by the outer optimizer of `c`, with outer.threads threads,
/// which the triad a = b + s c uses as well, with stores past the caches. Both sides of a
/// comparison run in turn. Needs about 30 bytes a parameter. Throws usage_error for a method that
/// needs what rounds started from, or an unknown codec; run_error if the peer fails.
merge_bench_report measure_merge(const config& c, const merge_bench_options& options,
                                 const std::function<void(std::string_view)>& told);

/// A table for people, and JSON with every single measurement.
std::string to_text(const merge_bench_report& report);
std::string to_json(const merge_bench_report& report);

}  // namespace rubato
