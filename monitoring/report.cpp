#include "monitoring/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "config/error.hpp"

namespace rubato {

/// The page without its data, put together by cmake/RubatoEmbed.cmake at build time.
extern const std::string_view page_template;

namespace {

using json = nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t workers_shown = 32;
constexpr std::size_t rounds_shown = 2000;         // of a run
constexpr std::size_t rounds_of_all_runs = 60000;  // shared out when there are many
constexpr std::size_t fewest_rounds_shown = 200;
constexpr std::size_t most_steps_of_time = 100;
constexpr std::size_t fewest_steps_of_time = 10;
constexpr std::size_t updates_a_step = 8;  // wanted in each, so that a mean means something
constexpr std::size_t histogram_entries = 3000;
constexpr std::string_view data_marker = "@DATA@";

// -- numbers ------------------------------------------------------------------------------------

/// Seven significant digits, which is more than a chart or table shows; null for NaN and infinity.
json shortened(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::strtod(fmt::format("{:.7g}", value).c_str(), nullptr);
}

/// The same for each number in `value` that is not whole.
json shortened(const json& value) {
  if (value.is_number_float()) return shortened(value.get<double>());
  if (!value.is_structured()) return value;
  json result = value;
  for (auto& element : result) element = shortened(element);
  return result;
}

/// Null is NaN.
double real(const json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

// -- reading ------------------------------------------------------------------------------------

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in) throw usage_error(path.string() + ": cannot be read");
  return text;
}

/// Calls `use` with each line of a .jsonl file; there need not be one.
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

/// The pairs of key and value in TOML, in the order of the file. config.toml has one a line, as
/// to_toml() (config/load.hpp) writes it. It is not loaded with load_config(), so that runs of
/// other versions of the program can be shown too.
json read_config(const fs::path& path) {
  const std::string text = read_text(path);
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

json read_summary(const fs::path& path) {
  if (!fs::exists(path)) return nullptr;
  try {
    json summary = shortened(json::parse(read_text(path)));
    auto& workers = summary.at("per_worker").get_ref<json::array_t&>();
    if (workers.size() > workers_shown) workers.resize(workers_shown);
    for (const char* result : {"final", "best"}) {
      if (summary.at(result).is_null()) continue;
      summary[result].erase("quotas");
      summary[result].erase("shard_loss");
    }
    return summary;
  } catch (const json::exception& error) {
    throw usage_error(fmt::format("{}: not the summary of a run: {}", path.string(), error.what()));
  }
}

/// What the report needs of a line of updates.jsonl.
struct round_record {
  std::uint32_t worker = 0;
  std::string fate;
  std::uint64_t base = 0;
  std::uint64_t version = 0;
  std::uint64_t staleness = 0;
  std::int64_t steps = 0;
  double cosine_to_momentum = 0.0;  // NaN: none
  double cosine_to_others = 0.0;    // NaN: none
  double assigned = 0.0;
  double compute = 0.0;
  double settled = 0.0;

  bool applied() const { return fate == "applied"; }
  bool arrived() const { return fate != "abandoned" && fate != "run_ended" && fate != "duplicate"; }
};

std::vector<round_record> read_rounds(const fs::path& path) {
  std::vector<round_record> rounds;
  for_each_line(path, [&](const json& line) {
    round_record round;
    line.at("worker").get_to(round.worker);
    line.at("fate").get_to(round.fate);
    line.at("base").get_to(round.base);
    line.at("version").get_to(round.version);
    line.at("staleness").get_to(round.staleness);
    line.at("steps").get_to(round.steps);
    round.cosine_to_momentum = real(line.at("cosine_to_momentum"));
    round.cosine_to_others = real(line.value("cosine_to_others", json()));
    line.at("assigned_seconds").get_to(round.assigned);
    line.at("compute_seconds").get_to(round.compute);
    line.at("settled_seconds").get_to(round.settled);
    rounds.push_back(std::move(round));
  });
  return rounds;
}

// -- what is sent -------------------------------------------------------------------------------

/// The bytes sent, both ways, until so many local steps had arrived. Every transfer of a direction
/// counts as its mean, for their sizes are not recorded.
class traffic {
 public:
  traffic(const std::vector<round_record>& rounds, const json& summary) {
    if (summary.is_null()) return;
    std::int64_t steps = 0;
    for (const auto& round : rounds) {
      assigned_.push_back(round.assigned);
      if (!round.arrived()) continue;
      steps += round.steps;
      arrivals_.push_back({steps, round.settled});
    }
    std::sort(assigned_.begin(), assigned_.end());
    const json& bytes = summary.at("bytes");
    const auto mean = [&](const char* direction, std::size_t count) {
      return count == 0 ? 0.0 : bytes.at(direction).get<double>() / static_cast<double>(count);
    };
    down_ = mean("down", assigned_.size());
    up_ = mean("up", arrivals_.size());
  }

  /// NaN where the run has no summary yet.
  double until(std::int64_t local_steps) const {
    if (arrivals_.empty()) return std::numeric_limits<double>::quiet_NaN();
    if (local_steps == 0) return 0.0;
    auto last = std::lower_bound(
        arrivals_.begin(), arrivals_.end(), local_steps,
        [](const arrival& a, std::int64_t wanted) { return a.local_steps < wanted; });
    if (last == arrivals_.end()) --last;
    const auto down = std::lower_bound(assigned_.begin(), assigned_.end(), last->time);
    return down_ * static_cast<double>(down - assigned_.begin()) +
           up_ * static_cast<double>(last - arrivals_.begin() + 1);
  }

 private:
  struct arrival {
    std::int64_t local_steps;  // of all until then
    double time;
  };
  std::vector<double> assigned_;  // in order of time
  std::vector<arrival> arrivals_;
  double down_ = 0.0;
  double up_ = 0.0;
};

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

/// The rounds that were given out first, of the workers that are shown, up to `limit`:
/// {"until": the time to which none is missing, "rounds": [[worker, fate, base, version, staleness,
/// steps, assigned, compute, settled]...]}.
json timeline(const std::vector<round_record>& rounds, std::size_t limit) {
  std::vector<const round_record*> shown;
  double until = 0.0;
  for (const auto& round : rounds) {
    if (round.worker < workers_shown) shown.push_back(&round);
    until = std::max(until, round.settled);
  }
  std::stable_sort(shown.begin(), shown.end(),
                   [](const auto* a, const auto* b) { return a->assigned < b->assigned; });
  if (shown.size() > limit) {
    until = shown[limit]->assigned;
    shown.resize(limit);
  }
  json lines = json::array();
  for (const auto* round : shown) {
    lines.push_back({round->worker, round->fate, round->base, round->version, round->staleness,
                     round->steps, shortened(round->assigned), shortened(round->compute),
                     shortened(round->settled)});
  }
  return {{"until", shortened(until)}, {"rounds", std::move(lines)}};
}

// -- a run --------------------------------------------------------------------------------------

/// Puts metrics.jsonl into `run`: each evaluation's value of a key in one list; quotas where they
/// changed, [[time, [quota of each worker]]...]; and the changes of workers.
void read_metrics(const fs::path& path, const traffic& sent, json& run) {
  json columns = json::object();
  json quotas = json::array();
  json changes = json::array();
  // The perplexity is not kept: it is e to the loss.
  constexpr const char* whole[] = {"local_steps", "version", "tokens", "workers_live"};
  constexpr const char* real_keys[] = {"clock_seconds", "wall_seconds", "loss", "bits_per_byte",
                                       "accuracy"};
  for (const auto* key : whole) columns[key] = json::array();
  for (const auto* key : real_keys) columns[key] = json::array();
  columns["top5"] = columns["bytes"] = json::array();
  for_each_line(path, [&](const json& line) {
    if (line.contains("event")) {
      if (line.at("worker").get<std::size_t>() < workers_shown) changes.push_back(shortened(line));
      return;
    }
    for (const auto* key : whole) columns[key].push_back(line.at(key));
    for (const auto* key : real_keys) columns[key].push_back(shortened(real(line.at(key))));
    columns["top5"].push_back(shortened(real(line.value("top5", json()))));
    columns["bytes"].push_back(shortened(sent.until(line.at("local_steps").get<std::int64_t>())));
    json now = line.at("quotas");
    auto& list = now.get_ref<json::array_t&>();
    if (list.size() > workers_shown) list.resize(workers_shown);
    if (quotas.empty() || quotas.back().at(1) != now) {
      quotas.push_back({shortened(real(line.at("clock_seconds"))), std::move(now)});
    }
  });
  run["evaluations"] = std::move(columns);
  run["quotas"] = std::move(quotas);
  run["changes"] = std::move(changes);
}

json read_run(const report_run& source, std::size_t rounds_limit) {
  const fs::path folder(source.directory);
  if (!fs::is_directory(folder)) {
    throw usage_error(source.directory + ": no such folder; a run directory is wanted");
  }
  if (!fs::exists(folder / "config.toml")) {
    throw usage_error(source.directory + ": not a run directory, for it has no config.toml");
  }
  json run = {{"label", source.label},
              {"link", source.link},
              {"directory", fs::absolute(folder).lexically_normal().string()},
              {"config", read_config(folder / "config.toml")},
              {"summary", read_summary(folder / "summary.json")}};
  const auto rounds = read_rounds(folder / "updates.jsonl");
  std::map<std::string, std::size_t> fates;
  for (const auto& round : rounds) ++fates[round.fate];
  run["fates"] = fates;
  run["staleness_over_time"] = staleness_over_time(rounds);
  run["cosine"] = cosine_over_time(rounds, &round_record::cosine_to_momentum);
  run["cosine_to_others"] = cosine_over_time(rounds, &round_record::cosine_to_others);
  run["timeline"] = timeline(rounds, rounds_limit);
  read_metrics(folder / "metrics.jsonl", traffic(rounds, run["summary"]), run);
  return run;
}

}  // namespace

json report_data(const std::string& title, const std::string& version,
                 const std::vector<report_run>& runs) {
  const std::size_t share = rounds_of_all_runs / std::max<std::size_t>(runs.size(), 1);
  const std::size_t limit = std::clamp(share, fewest_rounds_shown, rounds_shown);
  json list = json::array();
  for (const auto& run : runs) list.push_back(read_run(run, limit));
  return {
      {"title", title}, {"version", version}, {"runs", std::move(list)}, {"comparison", nullptr}};
}

std::string report_page(const json& data) {
  const std::string text = data.dump(-1, ' ', false, json::error_handler_t::replace);
  const auto marker = page_template.find(data_marker);
  if (marker == std::string_view::npos) throw std::logic_error("the page has no place for data");
  std::string page(page_template.substr(0, marker));
  page.reserve(page_template.size() + text.size() + text.size() / 16);
  // Nothing in a script element ends it but "</script" and "<!--": without "<" neither can occur.
  for (const char c : text) {
    if (c == '<') {
      page += "\\u003c";
    } else {
      page += c;
    }
  }
  page += page_template.substr(marker + data_marker.size());
  return page;
}

}  // namespace rubato
