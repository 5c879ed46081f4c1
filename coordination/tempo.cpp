#include "coordination/tempo.hpp"

#include <cmath>
#include <map>
#include <string>

#include "config/random.hpp"

namespace rubato {
namespace {

const std::map<std::string, std::vector<double>> presets = {
    {"none", {0.75, 0.75, 0.75, 0.75}},
    {"slight", {0.64, 0.72, 0.78, 0.86}},
    {"moderate", {0.58, 0.75, 1.05, 1.51}},
    {"very", {0.58, 0.75, 1.51, 3.33}},
};

run_time from_seconds(double seconds) {
  return run_time(std::llround(seconds * 1e9));
}

// A list of none, one for all, or one for each worker.
double element(const std::vector<double>& list, std::size_t worker) {
  if (list.empty()) return 0.0;
  return list.size() == 1 ? list.front() : list[worker];
}

}  // namespace

std::vector<double> seconds_per_step(const config::workers_section& workers) {
  if (!workers.seconds_per_step.empty()) return workers.seconds_per_step;
  const auto& preset = presets.at(workers.heterogeneity);
  std::vector<double> result(static_cast<std::size_t>(workers.count));
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = preset[i % preset.size()];
  return result;
}

tempo::tempo(const config& c)
    : seed_(static_cast<std::uint64_t>(c.run.seed)), jitter_(c.workers.jitter) {
  const auto paces = seconds_per_step(c.workers);
  for (std::size_t i = 0; i < paces.size(); ++i) {
    pace_.push_back(from_seconds(paces[i]));
    latency_.push_back(from_seconds(element(c.network.latency_seconds, i)));
    bandwidth_mbit_.push_back(element(c.network.bandwidth_mbit, i));
  }
}

round_timing tempo::round(const update_id& id, std::uint32_t steps, std::uint64_t bytes_down,
                          std::uint64_t bytes_up) const {
  round_timing timing;
  timing.compute = pace_[id.worker] * steps;
  if (jitter_ > 0.0) {
    random_generator random(seed_, random_stream::jitter, {id.worker, id.incarnation, id.sequence});
    const double factor = std::exp(jitter_ * random.normal() - 0.5 * jitter_ * jitter_);
    timing.compute = run_time(std::llround(static_cast<double>(timing.compute.count()) * factor));
  }
  timing.download = transfer(id.worker, bytes_down);
  timing.upload = transfer(id.worker, bytes_up);
  return timing;
}

run_time tempo::transfer(worker_id worker, std::uint64_t bytes) const {
  const double mbit = bandwidth_mbit_[worker];
  if (mbit <= 0.0) return latency_[worker];
  // bits / (10^6 bits a second) = microseconds; times 1000 is nanoseconds.
  return latency_[worker] +
         run_time(std::llround(static_cast<double>(bytes) * 8.0 * 1000.0 / mbit));
}

}  // namespace rubato
