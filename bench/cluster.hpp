// `rubato bench cluster`: what share of the time workers compute when the links to their server are
// slow. Real processes, each in a network namespace behind a link that tc's tbf shapes in both
// directions; the workers train nothing (model.kind = "null"), but for as long as a real model
// would take. Needs root. Next to it what arithmetic expects, and what the virtual clock says.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "transfer/codec.hpp"

namespace rubato {

struct cluster_bench_options {
  std::vector<double> mbit = {50, 200, 1000};  // of a worker's link, each way
  std::int64_t workers = 4;
  std::int64_t parameters = 30'846'720;
  double step_seconds = 0.0261;
  std::int64_t local_steps = 128;  // H
  std::int64_t rounds = 4;         // of each worker; the first is not measured
  codec up = codec::f32;
  codec down = codec::f32;
  bool overlap = false;
};

struct cluster_bench_report {
  struct line {
    double mbit;
    std::vector<double> periods;  // seconds from one update of a worker to its next
    double virtual_period;        // the median on the virtual clock
    double up;                    // seconds that the bytes take on such a link
    double down;
  };

  cluster_bench_options options;
  double compute = 0.0;  // C: seconds of a round's steps
  std::vector<line> lines;
};

/// The share of the time that a worker's steps take, if nothing but them and the links takes any:
/// C / (C + up + down); with overlap, where two rounds may be on their way, at most 1 and
/// 2 C / (C + up + down).
double expected_utilisation(double compute, double up, double down, bool overlap);

/// Takes minutes. Throws run_error, also where namespaces or tbf are not to be had.
cluster_bench_report measure_cluster(const cluster_bench_options& options,
                                     const std::function<void(std::string_view)>& told);

/// A table for people, and JSON with every single measurement.
std::string to_text(const cluster_bench_report& report);
std::string to_json(const cluster_bench_report& report);

}  // namespace rubato
