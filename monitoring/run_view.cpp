#include "monitoring/run_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <utility>

#include "config/error.hpp"

namespace rubato {
namespace {

using json = nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t most_steps_of_time = 100;
constexpr std::size_t fewest_steps_of_time = 10;
constexpr std::size_t updates_a_step = 8;  // wanted in each, so that a mean means something
constexpr std::size_t histogram_entries = 3000;

/// Null is NaN.
double real(const json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

// -- what is drawn over time ---------------------------------------------------------------------

/// Equal steps of time from 0 to the last applied update.
class time_steps {
 public:
  explicit time_steps(const std::vector<round_record>& rounds) {
    std::size_t updates = 0;
    for (const auto& round : rounds) {
      if (!round.applied()) continue;
      ++updates;
      end_ = std::max(end_, round.settled);
    }
    count_ = std::clamp(updates / updates_a_step, fewest_steps_of_time, most_steps_of_time);
  }

  std::size_t count() const { return count_; }
  double middle(std::size_t step) const {
    return end_ * (static_cast<double>(step) + 0.5) / static_cast<double>(count_);
  }
  std::size_t of(double time) const {
    if (end_ <= 0.0) return 0;
    const auto step = static_cast<std::size_t>(time / end_ * static_cast<double>(count_));
    return std::min(step, count_ - 1);
  }
  void halve() { count_ = (count_ + 1) / 2; }

 private:
  std::size_t count_ = 0;
  double end_ = 0.0;
};

/// How often each staleness occurred among the applied updates, exactly, for each step of time:
/// [[middle of the step, [[staleness, count]...]]...]. The steps are longer where there are many
/// different values.
json staleness_over_time(const std::vector<round_record>& rounds) {
  time_steps steps(rounds);
  for (;; steps.halve()) {
    std::map<std::size_t, std::map<std::uint64_t, std::uint64_t>> counts;
    std::size_t entries = 0;
    for (const auto& round : rounds) {
      if (round.applied() && ++counts[steps.of(round.settled)][round.staleness] == 1) ++entries;
    }
    if (entries > histogram_entries && steps.count() > 1) continue;
    json result = json::array();
    for (const auto& [step, histogram] : counts) {
      json pairs = json::array();
      for (const auto& [staleness, count] : histogram) pairs.push_back({staleness, count});
      result.push_back({shortened(steps.middle(step)), std::move(pairs)});
    }
    return result;
  }
}

/// The training loss of rounds that arrived, as means of equally many.
json training(const std::vector<round_record>& rounds, rounds_before before) {
  const auto arrived = static_cast<std::size_t>(
      std::count_if(rounds.begin(), rounds.end(), [](const auto& r) { return r.arrived(); }));
  const std::size_t together = (arrived + most_steps_of_time - 1) / most_steps_of_time;
  json result = {{"local_steps", json::array()},
                 {"tokens", json::array()},
                 {"clock_seconds", json::array()},
                 {"loss", json::array()}};
  double sum = 0.0;
  std::size_t summed = 0;
  for (const auto& round : rounds) {
    if (!round.arrived()) continue;
    before.local_steps += round.steps;
    before.tokens += round.tokens;
    sum += round.loss;
    if (++summed < together) continue;
    result["local_steps"].push_back(before.local_steps);
    result["tokens"].push_back(before.tokens);
    result["clock_seconds"].push_back(shortened(round.settled));
    result["loss"].push_back(shortened(sum / static_cast<double>(summed)));
    sum = 0.0;
    summed = 0;
  }
  return result;
}

/// [[middle of the step, mean, 10th percentile, 90th percentile]...] of one of the applied updates'
/// cosines.
json cosine_over_time(const std::vector<round_record>& rounds, double round_record::*cosine) {
  const time_steps steps(rounds);
  std::map<std::size_t, std::vector<double>> cosines;
  for (const auto& round : rounds) {
    if (round.applied() && std::isfinite(round.*cosine)) {
      cosines[steps.of(round.settled)].push_back(round.*cosine);
    }
  }
  json result = json::array();
  for (auto& [step, values] : cosines) {
    std::sort(values.begin(), values.end());
    double sum = 0.0;
    for (const double value : values) sum += value;
    const std::size_t tenth = values.size() / 10;
    result.push_back({shortened(steps.middle(step)),
                      shortened(sum / static_cast<double>(values.size())), shortened(values[tenth]),
                      shortened(values[values.size() - 1 - tenth])});
  }
  return result;
}

}  // namespace

// -- numbers ------------------------------------------------------------------------------------

json shortened(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::strtod(fmt::format("{:.7g}", value).c_str(), nullptr);
}

json shortened(const json& value) {
  if (value.is_number_float()) return shortened(value.get<double>());
  if (!value.is_structured()) return value;
  json result = value;
  for (auto& element : result) element = shortened(element);
  return result;
}

// -- reading ------------------------------------------------------------------------------------

void for_each_line(const fs::path& path, const std::function<void(const json&)>& use) {
  std::ifstream in(path, std::ios::binary);
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    try {
      use(json::parse(line));
    } catch (const json::exception& error) {
      if (in.eof()) return;  // the run is still writing it, or ended in the middle of it
      throw usage_error(fmt::format("{}:{}: not a line that a run writes: {}", path.string(),
                                    number, error.what()));
    }
  }
}

json config_pairs(const std::string& text) {
  json result = json::array();
  std::string section;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const auto equals = line.find(" = ");
    if (line.starts_with('[') && line.ends_with(']')) {
      section = line.substr(1, line.size() - 2) + '.';
    } else if (equals != std::string::npos && !line.starts_with('#')) {
      result.push_back({section + line.substr(0, equals), line.substr(equals + 3)});
    }
  }
  return result;
}

round_record to_round(const json& line) {
  round_record round;
  line.at("worker").get_to(round.worker);
  line.at("fate").get_to(round.fate);
  line.at("base").get_to(round.base);
  line.at("version").get_to(round.version);
  line.at("staleness").get_to(round.staleness);
  line.at("steps").get_to(round.steps);
  round.tokens = line.value("tokens", std::int64_t{0});
  round.loss = real(line.value("loss", json()));
  round.cosine_to_momentum = real(line.at("cosine_to_momentum"));
  round.cosine_to_others = real(line.value("cosine_to_others", json()));
  line.at("assigned_seconds").get_to(round.assigned);
  line.at("compute_seconds").get_to(round.compute);
  line.at("settled_seconds").get_to(round.settled);
  round.received = line.value("received_seconds", 0.0);  // not in older runs
  round.sent = line.value("sent_seconds", 0.0);
  return round;
}

json shown_summary(const json& content) {
  json summary = shortened(content);
  auto& workers = summary.at("per_worker").get_ref<json::array_t&>();
  if (workers.size() > workers_shown) workers.resize(workers_shown);
  for (const char* result : {"final", "best"}) {
    if (summary.at(result).is_null()) continue;
    summary[result].erase("quotas");
    summary[result].erase("shard_loss");
  }
  return summary;
}

// -- a run --------------------------------------------------------------------------------------

void put_rounds(const std::vector<round_record>& rounds, json& run, rounds_before before) {
  std::map<std::string, std::size_t> fates;
  for (const auto& round : rounds) ++fates[round.fate];
  run["fates"] = fates;
  run["training"] = training(rounds, before);
  run["staleness_over_time"] = staleness_over_time(rounds);
  run["cosine"] = cosine_over_time(rounds, &round_record::cosine_to_momentum);
  run["cosine_to_others"] = cosine_over_time(rounds, &round_record::cosine_to_others);
}

json timeline(const std::vector<round_record>& rounds, std::size_t limit, bool latest) {
  std::vector<const round_record*> shown;
  double from = 0.0;
  double until = 0.0;
  for (const auto& round : rounds) {
    if (round.worker < workers_shown) shown.push_back(&round);
    until = std::max(until, round.settled);
  }
  std::stable_sort(shown.begin(), shown.end(),
                   [](const auto* a, const auto* b) { return a->assigned < b->assigned; });
  if (shown.size() > limit && latest) {
    from = shown[shown.size() - limit]->assigned;
    shown.erase(shown.begin(), shown.end() - static_cast<std::ptrdiff_t>(limit));
  } else if (shown.size() > limit) {
    until = shown[limit]->assigned;
    shown.resize(limit);
  }
  json lines = json::array();
  for (const auto* round : shown) {
    lines.push_back({round->worker, round->fate, round->base, round->version, round->staleness,
                     round->steps, shortened(round->assigned), shortened(round->compute),
                     shortened(round->settled), shortened(round->received),
                     shortened(round->sent)});
  }
  return {{"from", shortened(from)}, {"until", shortened(until)}, {"rounds", std::move(lines)}};
}

namespace {

// The perplexity is not kept: it is e to the loss.
constexpr const char* whole_keys[] = {"local_steps", "version", "tokens", "workers_live"};
constexpr const char* real_keys[] = {"clock_seconds", "wall_seconds", "loss", "bits_per_byte",
                                     "accuracy"};

}  // namespace

metrics_history::metrics_history() {
  for (const auto* key : whole_keys) columns_[key] = json::array();
  for (const auto* key : real_keys) columns_[key] = json::array();
  columns_["top5"] = columns_["bytes"] = json::array();
}

void metrics_history::add(const json& line, double bytes) {
  if (line.contains("event")) {
    if (line.at("worker").get<std::size_t>() < workers_shown) changes_.push_back(shortened(line));
    return;
  }
  for (const auto* key : whole_keys) columns_[key].push_back(line.at(key));
  for (const auto* key : real_keys) columns_[key].push_back(shortened(real(line.at(key))));
  columns_["top5"].push_back(shortened(real(line.value("top5", json()))));
  columns_["bytes"].push_back(shortened(bytes));
  json now = line.at("quotas");
  auto& list = now.get_ref<json::array_t&>();
  if (list.size() > workers_shown) list.resize(workers_shown);
  if (quotas_.empty() || quotas_.back().at(1) != now) {
    quotas_.push_back({shortened(real(line.at("clock_seconds"))), std::move(now)});
  }
}

void metrics_history::put_into(json& run) const {
  run["evaluations"] = columns_;
  run["quotas"] = quotas_;
  run["changes"] = changes_;
}

}  // namespace rubato
