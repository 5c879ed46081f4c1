// Numbers as people read them: counts, bytes and durations with about three digits.
// For the terminal only; files get full precision (summary.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "config/worker_events.hpp"
#include "monitoring/observer.hpp"

namespace rubato {

/// "0", "9876", "12.3k", "1.21M": whole below ten thousand, then three digits. "?" if not finite or
/// negative.
std::string human_count(double value);

/// "812 B", "22.1 MB": units of 1000.
std::string human_bytes(std::uint64_t bytes);

/// "310ms", "4.2s", "42s", "3m 20s", "2h 05m", "3d 04h". "?" if not finite or negative.
std::string human_duration(double seconds);

/// A fixed number of decimals, but an exponent for what would be too long: "2.3140", "1.23e+09",
/// "nan".
std::string human_number(double value, int decimals);

/// "0.580 s", the time of a step: never rounded to nothing, however short.
std::string human_pace(double seconds_per_step);

/// "at 10m 00s worker 2 pauses for 1m 00s", in a run of so many workers.
std::string human_event(const worker_event& event, std::size_t workers);

/// "unigram 4.920, order-2 2.871": the bits per byte of n-gram models that were measured, or "".
std::string human_baselines(const std::vector<baseline_result>& baselines);

}  // namespace rubato
