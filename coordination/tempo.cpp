#include "coordination/tempo.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "config/random.hpp"
#include "config/worker_events.hpp"

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

run_time begin_of(const worker_event& event) {
  return from_seconds(event.at);
}

run_time end_of(const worker_event& event) {
  return std::isfinite(event.duration) ? from_seconds(event.at + event.duration) : run_time::max();
}

/// What events, in the order they are listed, make of a worker at a time.
struct condition {
  run_time pace{0};  // 0: it pauses
  bool away = false;
};

condition condition_at(run_time time, double seconds_per_step,
                       const std::vector<worker_event>& events) {
  condition result;
  double factor = 1.0;
  bool pauses = false;
  for (const auto& event : events) {
    if (time < begin_of(event) || time >= end_of(event)) continue;
    switch (event.what) {
      case worker_event::kind::pace:
        seconds_per_step = event.value;
        break;
      case worker_event::kind::slow_down:
        factor *= event.value;
        break;
      case worker_event::kind::pause:
        pauses = true;
        break;
      case worker_event::kind::leave:
        result.away = true;
        break;
    }
  }
  result.pace =
      pauses ? run_time{0} : std::max(run_time{1}, from_seconds(seconds_per_step * factor));
  return result;
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
    : simulated_(c.paced()),
      seed_(static_cast<std::uint64_t>(c.run.seed)),
      jitter_(c.workers.jitter) {
  std::vector<std::vector<worker_event>> events(static_cast<std::size_t>(c.workers.count));
  for (const auto& text : c.workers.events) {
    const auto event = parse_worker_event(text, c.workers.count);
    for (auto i = event.first; i <= event.last; ++i) {
      events[static_cast<std::size_t>(i)].push_back(event);
    }
  }
  const auto paces = seconds_per_step(c.workers);
  for (std::size_t i = 0; i < events.size(); ++i) {
    // A later pace replaces an earlier one, in whatever order they are listed.
    std::stable_sort(events[i].begin(), events[i].end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
    std::set<run_time> times;
    for (const auto& event : events[i]) times.insert({begin_of(event), end_of(event)});
    times.erase(run_time::max());

    const auto worker = static_cast<worker_id>(i);
    condition last = condition_at(run_time{-1}, paces[i], {});
    traces_.push_back({{run_time{0}, last.pace}});
    for (const auto time : times) {
      const auto now = condition_at(time, paces[i], events[i]);
      if (now.pace != last.pace) {
        auto& trace = traces_.back();
        if (trace.back().from == time) trace.pop_back();
        trace.push_back({time, now.pace});
        if (time > run_time{0} && !now.away && !last.away) {
          changes_.push_back({time, worker_change::kind::pace, worker});
        }
      }
      if (now.away != last.away) {
        changes_.push_back(
            {time, now.away ? worker_change::kind::leave : worker_change::kind::join, worker});
      }
      last = now;
    }
    latency_.push_back(from_seconds(element(c.network.latency_seconds, i)));
    bandwidth_mbit_.push_back(element(c.network.bandwidth_mbit, i));
  }
  std::sort(changes_.begin(), changes_.end());
}

tempo::pace_trace::const_iterator tempo::segment(worker_id worker, run_time at) const {
  const auto& trace = traces_.at(worker);
  const auto after =
      std::upper_bound(trace.begin(), trace.end(), at,
                       [](run_time time, const pace_segment& s) { return time < s.from; });
  return std::prev(after);
}

run_time tempo::moving_pace(worker_id worker, run_time at) const {
  auto it = segment(worker, at);
  if (it->pace.count() == 0) ++it;
  return it->pace;
}

round_timing tempo::round(const update_id& id, std::uint32_t steps, run_time at,
                          std::uint64_t bytes_down, std::uint64_t bytes_up,
                          const assignment* before) const {
  round_timing timing;
  if (!simulated_) return timing;
  timing.download = transfer(id.worker, bytes_down);
  timing.upload = transfer(id.worker, bytes_up);
  if (before != nullptr) {
    timing.download = std::max(timing.download, before->computed() - at);
  }
  timing.compute = compute(id, steps, at + timing.download);
  if (before != nullptr) {
    const run_time computed = at + timing.download + timing.compute;
    timing.upload += std::max(run_time{0}, before->due() - computed);
  }
  return timing;
}

std::optional<std::uint32_t> tempo::steps_before(const assignment& round, run_time time) const {
  if (!simulated_ || time > round.computed()) return {};
  const run_time begun = round.begun();
  if (time <= begun) return 0;
  // Smallest number of steps that end at `time` or later.
  std::uint32_t below = 0, enough = round.steps;
  while (below + 1 < enough) {
    const std::uint32_t middle = below + (enough - below) / 2;
    (begun + compute(round.id, middle, begun) < time ? below : enough) = middle;
  }
  return enough;
}

/// How long the steps take when they begin at `begin`.
run_time tempo::compute(const update_id& id, std::uint32_t steps, run_time begin) const {
  auto pace = moving_pace(id.worker, begin);
  run_time left = pace * steps;  // at that pace
  if (jitter_ > 0.0) {
    random_generator random(seed_, random_stream::jitter, {id.worker, id.incarnation, id.sequence});
    const double factor = std::exp(jitter_ * random.normal() - 0.5 * jitter_ * jitter_);
    left = run_time(std::llround(static_cast<double>(left.count()) * factor));
  }
  const auto end = traces_[id.worker].end();
  run_time now = begin;
  for (auto it = segment(id.worker, begin);; ++it) {
    const auto next = std::next(it);
    if (it->pace.count() > 0) {
      if (it->pace != pace) {
        const double ratio =
            static_cast<double>(it->pace.count()) / static_cast<double>(pace.count());
        left = run_time(std::llround(static_cast<double>(left.count()) * ratio));
        pace = it->pace;
      }
      if (next == end || left <= next->from - now) return now + left - begin;
      left -= next->from - now;
    }
    now = next->from;
  }
}

run_time tempo::transfer(worker_id worker, std::uint64_t bytes) const {
  if (!simulated_) return run_time{0};
  const double mbit = bandwidth_mbit_[worker];
  if (mbit <= 0.0) return latency_[worker];
  // bits / (10^6 bits a second) = microseconds; times 1000 is nanoseconds.
  return latency_[worker] +
         run_time(std::llround(static_cast<double>(bytes) * 8.0 * 1000.0 / mbit));
}

}  // namespace rubato
