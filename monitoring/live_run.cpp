#include "monitoring/live_run.hpp"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <limits>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "config/error.hpp"
#include "monitoring/run_view.hpp"
#include "monitoring/summary.hpp"

namespace rubato {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t rounds_drawn = 600;  // in the timeline
constexpr double made_anew_after = 0.5;    // real seconds

using round_key = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>;

round_record to_record(const round_ended& round) {
  round_record record;
  record.worker = round.worker;
  record.fate = round.fate;
  record.base = round.base;
  record.version = round.version;
  record.staleness = round.staleness;
  record.steps = round.steps;
  record.tokens = round.tokens;
  record.loss = round.loss;
  record.cosine_to_momentum = round.cosine_to_momentum;
  record.cosine_to_others = round.cosine_to_others;
  record.assigned = round.assigned;
  record.compute = round.computed;
  record.settled = round.settled;
  record.received = round.received;
  record.sent = round.sent;
  return record;
}

}  // namespace

class live_run::impl {
 public:
  impl(std::string version, const std::string& config_toml, std::function<double()> clock)
      : real_seconds(std::move(clock)),
        program(std::move(version)),
        config(config_pairs(config_toml)) {}

  void add(round_record round) {
    ++fates[round.fate];
    newest_version = std::max(newest_version, round.version);
    if (round.arrived()) local_steps += round.steps;
    rounds.push_back(std::move(round));
    if (rounds.size() <= live_rounds) return;
    if (rounds.front().arrived()) {
      forgotten.local_steps += rounds.front().steps;
      forgotten.tokens += rounds.front().tokens;
    }
    rounds.pop_front();
  }

  double now() const {
    const bool real = plan && plan->clock == "wall" && !summary;
    return real ? time + (real_seconds() - time_taken) : time;
  }

  /// What is needed to make the JSON without holding feeders up.
  struct view {
    std::optional<run_plan> plan;
    std::vector<round_record> rounds;
    std::map<round_key, round_begun> open;
    std::map<std::string, std::size_t> fates;
    std::map<std::uint32_t, double> waiting_since;
    metrics_history history;
    json summary;
    double now;
    std::uint64_t newest_version;
    std::int64_t local_steps;
    rounds_before forgotten;
  };

  view look() {
    const std::lock_guard lock(mutex);
    return {plan,     {rounds.begin(), rounds.end()}, open,  fates,          waiting_since,
            history,  summary.value_or(json()),       now(), newest_version, local_steps,
            forgotten};
  }

  std::mutex mutex;  // of all that follows but what never changes
  std::function<double()> real_seconds;
  std::string program;
  json config;
  std::optional<run_plan> plan;
  std::deque<round_record> rounds;  // that have ended
  std::map<round_key, round_begun> open;
  std::map<std::string, std::size_t> fates;       // of all rounds
  std::map<std::uint32_t, double> waiting_since;  // of the workers that are shown
  metrics_history history;
  double bytes = std::numeric_limits<double>::quiet_NaN();
  std::optional<json> summary;
  double time = 0.0;        // on the run's clock, ...
  double time_taken = 0.0;  // ... at this real time
  std::uint64_t newest_version = 0;
  std::int64_t local_steps = 0;  // of rounds that arrived
  rounds_before forgotten;       // of these, what is not in `rounds` any more

  std::mutex made_mutex;  // who makes it does so for all that ask
  std::string made;
  std::optional<double> made_at;
};

live_run::live_run(const std::string& version, const std::string& config_toml,
                   std::function<double()> real_seconds)
    : impl_(std::make_unique<impl>(version, config_toml, std::move(real_seconds))) {}

live_run::~live_run() = default;

void live_run::began(const run_plan& plan) {
  const fs::path folder(plan.directory);
  const std::lock_guard lock(impl_->mutex);
  try {
    for_each_line(folder / "updates.jsonl", [&](const json& line) { impl_->add(to_round(line)); });
    for_each_line(folder / "metrics.jsonl", [&](const json& line) {
      impl_->history.add(line, std::numeric_limits<double>::quiet_NaN());
    });
  } catch (const usage_error&) {
    // Whoever asks for a report of it is told. The page shows what comes from now on.
  }
  impl_->plan = plan;
  impl_->time_taken = impl_->real_seconds();
}

void live_run::assigned(const round_begun& round) {
  const std::lock_guard lock(impl_->mutex);
  impl_->open[{round.worker, round.incarnation, round.sequence}] = round;
  impl_->waiting_since.erase(round.worker);
}

void live_run::settled(const round_ended& round) {
  const std::lock_guard lock(impl_->mutex);
  const bool of_round = impl_->open.erase({round.worker, round.incarnation, round.sequence}) > 0;
  if (of_round && round.worker < workers_shown) {
    impl_->waiting_since[round.worker] = round.settled;
  }
  impl_->add(to_record(round));
}

void live_run::read(const server_reading& reading) {
  const std::lock_guard lock(impl_->mutex);
  impl_->time = reading.time;
  impl_->time_taken = impl_->real_seconds();
  impl_->bytes = static_cast<double>(reading.bytes_down + reading.bytes_up);
}

void live_run::evaluated(const evaluation& e) {
  const auto line = json::parse(to_json_line(e));
  const std::lock_guard lock(impl_->mutex);
  impl_->history.add(line, impl_->bytes);
}

void live_run::worker_changed(const worker_change_record& change) {
  const auto line = json::parse(to_json_line(change));
  const std::lock_guard lock(impl_->mutex);
  impl_->history.add(line, impl_->bytes);
}

void live_run::ended(const run_summary& summary) {
  auto content = shown_summary(json::parse(to_json(summary)));
  const std::lock_guard lock(impl_->mutex);
  impl_->summary = std::move(content);
}

bool live_run::has_begun() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->plan.has_value();
}

std::string live_run::text() {
  const std::lock_guard lock(impl_->made_mutex);
  const double asked = impl_->real_seconds();
  if (impl_->made_at && asked - *impl_->made_at < made_anew_after) return impl_->made;
  auto v = impl_->look();

  nlohmann::json live = {{"phase", !v.plan               ? "starting"
                                   : v.summary.is_null() ? "running"
                                                         : "ended"},
                         {"clock_seconds", shortened(v.now)}};
  if (v.plan) {
    live["plan"] = {{"method", v.plan->method},
                    {"parameters", v.plan->parameters},
                    {"unit", v.plan->unit},
                    {"threads", v.plan->threads}};
  }
  nlohmann::json workers = nlohmann::json::array();
  for (const auto& [worker, since] : v.waiting_since) {
    workers.push_back({worker, "waiting", nullptr, nullptr, shortened(since)});
  }
  nlohmann::json run = {{"label", ""},
                        {"link", ""},
                        {"directory", v.plan ? v.plan->directory : ""},
                        {"config", impl_->config},
                        {"summary", v.summary},
                        {"goes_on", v.summary.is_null()},
                        {"local_steps", v.local_steps}};
  put_rounds(v.rounds, run, v.forgotten);
  run["fates"] = v.fates;
  // Rounds that go on are drawn until now.
  for (const auto& [key, round] : v.open) {
    if (round.worker < workers_shown) {
      workers.push_back({round.worker, "working", round.base, round.steps, shortened(round.time)});
    }
    round_record record;
    record.worker = round.worker;
    record.fate = "in_flight";
    record.base = round.base;
    record.version = v.newest_version;
    record.steps = round.steps;
    record.assigned = round.time;
    record.compute = v.now - round.time;
    record.settled = v.now;
    v.rounds.push_back(std::move(record));
  }
  run["timeline"] = timeline(v.rounds, rounds_drawn, true);
  v.history.put_into(run);
  live["workers"] = std::move(workers);
  const nlohmann::json data = {{"title", "Rubato"},
                               {"version", impl_->program},
                               {"runs", {std::move(run)}},
                               {"comparison", nullptr},
                               {"live", std::move(live)}};
  impl_->made = data.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  impl_->made_at = asked;
  return impl_->made;
}

}  // namespace rubato
