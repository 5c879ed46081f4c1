#include "coordination/quota.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "config/error.hpp"

namespace rubato {
namespace {

// Weight of the newest round in the running estimate of a pace.
constexpr double newest = 0.5;
constexpr std::int64_t probe_steps = 5;
constexpr std::int64_t most_steps = 1'000'000;  // as quota.local_steps

}  // namespace

quota_policy::quota_policy(const config& c)
    : name_(c.quota.policy),
      rule_(make_quota_rule(c)),
      adaptive_(c.quota.policy == "dylu"),
      measured_(!c.speeds_given()),
      local_steps_(c.quota.local_steps) {}

void quota_policy::add(worker_id worker, run_time pace) {
  remove(worker);
  pace_[worker] = 0.0;
  change(worker, pace);
}

void quota_policy::change(worker_id worker, run_time pace) {
  if (!measured_ && pace_.contains(worker)) set_pace(worker, static_cast<double>(pace.count()));
}

void quota_policy::remove(worker_id worker) {
  const auto it = pace_.find(worker);
  if (it == pace_.end()) return;
  if (it->second > 0.0) known_.erase(known_.find(it->second));
  pace_.erase(it);
}

void quota_policy::observe(worker_id worker, std::uint32_t steps, run_time compute_time) {
  const auto it = pace_.find(worker);
  if (!measured_ || it == pace_.end() || steps == 0 || compute_time.count() <= 0) return;
  const double pace = static_cast<double>(compute_time.count()) / steps;
  // In this form a constant pace stays the same number, bit for bit.
  set_pace(worker, it->second > 0.0 ? it->second + newest * (pace - it->second) : pace);
}

std::uint32_t quota_policy::steps(worker_id worker) const {
  if (rule_) return steps_by_rule(pace_.at(worker));
  if (!adaptive_) return static_cast<std::uint32_t>(local_steps_);
  const double pace = pace_.at(worker);
  if (pace <= 0.0) return static_cast<std::uint32_t>(std::min(local_steps_, probe_steps));
  const double fastest = *known_.begin();
  if (pace == fastest) return static_cast<std::uint32_t>(local_steps_);  // not one less by rounding
  const double steps = std::floor(static_cast<double>(local_steps_) * fastest / pace);
  return static_cast<std::uint32_t>(std::max(1.0, steps));
}

std::uint32_t quota_policy::steps_by_rule(double pace) const {
  const double fastest = known_.empty() ? 0.0 : *known_.begin();
  const auto steps = rule_({local_steps_, pace * 1e-9, fastest * 1e-9});
  if (steps >= 1 && steps <= most_steps) return static_cast<std::uint32_t>(steps);
  throw run_error(fmt::format("quota.policy = \"{}\" gives a worker {} steps; it must be 1 to {}",
                              name_, steps, most_steps));
}

nlohmann::json quota_policy::state() const {
  return pace_;
}

void quota_policy::restore(const nlohmann::json& state) {
  state.get_to(pace_);
  known_.clear();
  for (const auto& [worker, pace] : pace_) {
    if (pace > 0.0) known_.insert(pace);
  }
}

void quota_policy::set_pace(worker_id worker, double pace) {
  auto& current = pace_.at(worker);
  if (current > 0.0) known_.erase(known_.find(current));
  current = pace;
  known_.insert(pace);
}

}  // namespace rubato
