#include "network/liveness.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace rubato {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t remembered = 64;

/// The lower one of the two in the middle.
nanoseconds median(std::vector<nanoseconds> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double seconds(nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

void rhythm::observe(nanoseconds gap) {
  gaps_.push_back(gap);
  if (gaps_.size() > remembered) gaps_.pop_front();
}

nanoseconds rhythm::expected(double tolerance) const {
  if (gaps_.empty()) return nanoseconds{0};
  const auto middle = median({gaps_.begin(), gaps_.end()});
  std::vector<nanoseconds> deviations;
  for (const auto gap : gaps_) deviations.push_back(gap > middle ? gap - middle : middle - gap);
  const auto spread = static_cast<double>(median(std::move(deviations)).count());
  return middle + nanoseconds(std::llround(tolerance * spread));
}

void liveness::heard(link_time now, const work_report& work) {
  if (last_sign_) signs_.observe(now - *last_sign_);
  last_sign_ = now;
  last_ = now;
  if (work.running == 0) {
    last_step_.reset();
  } else if (!last_step_) {
    last_step_ = now;
  } else if (work.steps != report_.steps) {
    work_.observe(now - *last_step_);
    last_step_ = now;
  }
  report_ = work;
}

void liveness::tick(link_time now) {
  const auto away = now - ticked_ - setting_.interval;
  ticked_ = now;
  if (away <= setting_.floor / 2) return;
  last_ += away;
  if (last_sign_) *last_sign_ += away;
  if (last_step_) *last_step_ += away;
}

nanoseconds liveness::patience() const {
  return std::max(setting_.floor, signs_.expected(setting_.tolerance));
}

std::optional<nanoseconds> liveness::work_patience() const {
  if (!last_step_ || !work_.known()) return std::nullopt;
  return std::max(setting_.work_floor, work_.expected(setting_.tolerance));
}

std::optional<std::string> liveness::verdict(link_time now) const {
  if (now >= deadline()) {
    return fmt::format("nothing was heard of it for {:.1f} s (deadline {:.1f} s)",
                       seconds(now - last_), seconds(patience()));
  }
  const auto limit = work_patience();
  if (limit && now >= *last_step_ + *limit) {
    return fmt::format(
        "it has not taken a step for {:.1f} s, though {} round{} running there "
        "(deadline {:.1f} s)",
        seconds(now - *last_step_), report_.running, report_.running == 1 ? " is" : "s are",
        seconds(*limit));
  }
  return std::nullopt;
}

}  // namespace rubato
