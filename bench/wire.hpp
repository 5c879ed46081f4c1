// `rubato bench wire`: how fast parameters get from one process to another over loopback, against
// `iperf3` with one stream. The way is the real one: CAF's network, and the transfer protocol as
// couriers drive it; so it is what CAF and checksums leave of the wire.
// Not here: slow links (bench/cluster.hpp), and encryption.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/measurement.hpp"
#include "transfer/codec.hpp"

namespace rubato {

struct wire_bench_options {
  std::int64_t mib = 256;         // of parameters, as f32
  std::int64_t chunk_kib = 1024;  // as network.chunk_kib ...
  std::int64_t window = 8;        // ... and network.window
  std::int64_t repeats = 7;       // measurements of each side, at least 1
};

struct wire_bench_report {
  struct line {
    codec how;
    std::uint64_t bytes;  // on the wire
    paired_times times;   // the transfer, and iperf3 for as many bytes as the f32 have
    double encode = 0.0;  // seconds, medians, not part of the transfer
    double decode = 0.0;

    /// f32-equivalent bytes a second over iperf3's bytes a second.
    double ratio() const { return 1.0 / times.median_of_ratios(); }
    /// The same over the fastest of iperf3's runs, which on few cores differ by a factor.
    double ratio_to_fastest() const;
  };

  std::uint64_t parameter_bytes = 0;
  std::vector<line> lines;
  // The most memory that each process took beyond its buffers of parameters, in bytes.
  std::uint64_t sender_memory = 0;
  std::uint64_t receiver_memory = 0;
};

/// Starts the other process, the sender, by itself. A transfer counts from the moment when the
/// receiver asks for the encoded content until it has all of it, checked. Throws run_error, also if
/// there is no iperf3.
wire_bench_report measure_wire(const wire_bench_options& options,
                               const std::function<void(std::string_view)>& told);

/// The other process: prints its port, sends what is asked for, ends with its standard input.
void send_over_wire(const wire_bench_options& options);

/// A table for people, and JSON with every single measurement.
std::string to_text(const wire_bench_report& report);
std::string to_json(const wire_bench_report& report);

}  // namespace rubato
