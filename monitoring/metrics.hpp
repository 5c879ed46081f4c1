// The metrics of a process for Prometheus: their catalogue, and the one place that makes and feeds
// them. Fed through probes (probes.hpp), read as text. Not here: who asks for it (endpoint.hpp) and
// what should be looked at (prometheus/, grafana/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "monitoring/probes.hpp"

namespace rubato {

enum class metric_kind : std::uint8_t { counter, gauge, histogram };

std::string_view to_string(metric_kind kind);

/// A metric of the catalogue. Besides these labels every one has `run`, the run's name.
struct metric_description {
  std::string_view name;  // "rubato_" or "process_", base units, "_total" for counters
  metric_kind kind;
  std::string_view labels;  // "worker, state"; empty: none
  std::string_view help;    // a sentence for people
  std::string_view only;    // when there is none otherwise; empty: there always is

  /// It is of a process, not of a run: nodes have it too.
  bool of_process() const {
    return name.starts_with("process_") || name.starts_with("rubato_lane_") ||
           name.starts_with("rubato_peer") || name == "rubato_transfer_retries_total" ||
           name == "rubato_build_info";
  }
};

/// All metrics that there are, in the order in which people should read of them.
std::span<const metric_description> metric_catalogue();

/// docs/metrics.md, in full.
std::string describe_metrics_markdown();

/// Workers from this one on share a label, "others", in counters and histograms, and have no
/// gauges: the number of time series is bounded whatever workers.count is.
constexpr std::uint32_t workers_with_metrics = 64;
/// Only so many peers have series of their own at a time.
constexpr std::size_t peers_with_metrics = 64;

/// What is known of a process before its run begins.
struct process_facts {
  std::string run;       // its name, for the label; a node learns it later
  std::string version;   // of the program
  std::string codec_up;  // what updates and versions travel as
  std::string codec_down;
  bool checkpoints = false;                    // the run takes some
  bool journal = false;                        // the run has one
  std::int64_t staleness_limit = -1;           // staleness.limit; below 0: none
  bool links = false;                          // there are other processes
  bool node = false;                           // the run is elsewhere: only what of_process()
  std::shared_ptr<const lane_activity> lanes;  // may be null
};

/// Thread-safe: as many threads as like may feed it while others read. `real_seconds` is a steady
/// clock that is called from all of them.
class run_metrics final : public run_probe, public link_probe {
 public:
  explicit run_metrics(const process_facts& facts, std::function<double()> real_seconds);
  ~run_metrics() override;

  void began(const run_plan& plan) override;
  void assigned(const round_begun& round) override;
  void settled(const round_ended& round) override;
  void worker_gone(std::uint32_t worker) override;
  void read(const server_reading& reading) override;
  void evaluated(const evaluation& e) override;
  void journal_waits(std::size_t bytes) override;
  void journal_committed(double seconds) override;
  void checkpointed(std::uint64_t version) override;
  void ended(const run_summary& summary) override;

  /// These three only with process_facts::links.
  void takes_part(const std::string& run) override;
  void heard(const std::string& peer, const link_reading& reading) override;
  void lost(const std::string& peer) override;

  /// In Prometheus's text format. What depends on the time of asking (ages, the process) is
  /// measured now.
  std::string text();

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace rubato
