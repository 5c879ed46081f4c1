// What a process shows of itself over HTTP: metrics, its health, the run as JSON, and the live
// page. Read-only: nothing that is asked for can change a run.
//
//   /            the live page; on a node, a word about where that is
//   /api/v1/run  what it shows, as JSON
//   /metrics     for Prometheus
//   /healthz     200 as long as the process answers
//   /readyz      200 once the run has begun, before that 503; on a node as /healthz
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "monitoring/endpoint.hpp"
#include "monitoring/live_run.hpp"
#include "monitoring/metrics.hpp"
#include "monitoring/probes.hpp"

namespace rubato {

class monitor final : public run_probe, public link_probe {
 public:
  /// `config_toml`: the effective config, for the page.
  monitor(const process_facts& facts, const std::string& config_toml);
  ~monitor() override;

  /// Answers requests there from now on; returns the port. Throws run_error.
  std::uint16_t listen(const std::string& host, std::uint16_t port);

  /// Thread-safe.
  http_answer answer(const std::string& path);

  void began(const run_plan& plan) override;
  void assigned(const round_begun& round) override;
  void settled(const round_ended& round) override;
  void worker_gone(std::uint32_t worker) override;
  void read(const server_reading& reading) override;
  void evaluated(const evaluation& e) override;
  void worker_changed(const worker_change_record& change) override;
  void journal_waits(std::size_t bytes) override;
  void journal_committed(double seconds) override;
  void checkpointed(std::uint64_t version) override;
  void ended(const run_summary& summary) override;

  void takes_part(const std::string& run) override;
  void heard(const std::string& peer, const link_reading& reading) override;
  void lost(const std::string& peer) override;

 private:
  bool node_;
  run_metrics metrics_;
  live_run live_;
  std::unique_ptr<endpoint> endpoint_;  // uses the others, so it goes first
};

}  // namespace rubato
