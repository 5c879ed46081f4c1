#include "monitoring/monitor.hpp"

#include <chrono>
#include <nlohmann/json.hpp>

#include "monitoring/report.hpp"

namespace rubato {
namespace {

constexpr const char* plain = "text/plain; charset=utf-8";

double real_seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

monitor::monitor(const process_facts& facts, const std::string& config_toml)
    : node_(facts.node),
      metrics_(facts, real_seconds),
      live_(facts.version, config_toml, real_seconds) {}

monitor::~monitor() = default;

std::uint16_t monitor::listen(const std::string& host, std::uint16_t port) {
  endpoint_ = std::make_unique<endpoint>(host, port,
                                         [this](const std::string& path) { return answer(path); });
  return endpoint_->port();
}

http_answer monitor::answer(const std::string& path) {
  if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_.text()};
  if (path == "/healthz") return {200, plain, "ok\n"};
  if (path == "/readyz") {
    if (node_ || live_.has_begun()) return {200, plain, "ok\n"};
    return {503, plain, "the run has not begun\n"};
  }
  if (node_) {
    if (path == "/")
      return {200, plain, "A node: here is /metrics; the server has the live page.\n"};
  } else {
    if (path == "/") return {200, "text/html; charset=utf-8", report_page(nullptr)};
    if (path == "/api/v1/run") return {200, "application/json", live_.text()};
  }
  return {404, plain,
          "There is nothing here; there are /, /api/v1/run, /metrics, /healthz and /readyz.\n"};
}

void monitor::began(const run_plan& plan) {
  metrics_.began(plan);
  live_.began(plan);
}

void monitor::assigned(const round_begun& round) {
  metrics_.assigned(round);
  live_.assigned(round);
}

void monitor::settled(const round_ended& round) {
  metrics_.settled(round);
  live_.settled(round);
}

void monitor::worker_gone(std::uint32_t worker) {
  metrics_.worker_gone(worker);
}

void monitor::read(const server_reading& reading) {
  metrics_.read(reading);
  live_.read(reading);
}

void monitor::evaluated(const evaluation& e) {
  metrics_.evaluated(e);
  live_.evaluated(e);
}

void monitor::worker_changed(const worker_change_record& change) {
  live_.worker_changed(change);
}

void monitor::journal_waits(std::size_t bytes) {
  metrics_.journal_waits(bytes);
}

void monitor::journal_committed(double seconds) {
  metrics_.journal_committed(seconds);
}

void monitor::checkpointed(std::uint64_t version) {
  metrics_.checkpointed(version);
}

void monitor::ended(const run_summary& summary) {
  metrics_.ended(summary);
  live_.ended(summary);
}

void monitor::takes_part(const std::string& run) {
  metrics_.takes_part(run);
}

void monitor::heard(const std::string& peer, const link_reading& reading) {
  metrics_.heard(peer, reading);
}

void monitor::lost(const std::string& peer) {
  metrics_.lost(peer);
}

}  // namespace rubato
