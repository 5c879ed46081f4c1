#include "monitoring/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "config/error.hpp"
#include "monitoring/run_view.hpp"

namespace rubato {

/// The page without its data, put together by cmake/RubatoEmbed.cmake at build time.
extern const std::string_view page_template;

namespace {

using json = nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t rounds_shown = 2000;         // of a run
constexpr std::size_t rounds_of_all_runs = 60000;  // shared out when there are many
constexpr std::size_t fewest_rounds_shown = 200;
constexpr std::string_view data_marker = "@DATA@";

// -- reading ------------------------------------------------------------------------------------

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in) throw usage_error(path.string() + ": cannot be read");
  return text;
}

json read_summary(const fs::path& path) {
  if (!fs::exists(path)) return nullptr;
  try {
    return shown_summary(json::parse(read_text(path)));
  } catch (const json::exception& error) {
    throw usage_error(fmt::format("{}: not the summary of a run: {}", path.string(), error.what()));
  }
}

std::vector<round_record> read_rounds(const fs::path& path) {
  std::vector<round_record> rounds;
  for_each_line(path, [&](const json& line) { rounds.push_back(to_round(line)); });
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

// -- a run --------------------------------------------------------------------------------------

/// Puts metrics.jsonl into `run`.
void read_metrics(const fs::path& path, const traffic& sent, json& run) {
  metrics_history history;
  for_each_line(path, [&](const json& line) {
    history.add(line, line.contains("event")
                          ? std::numeric_limits<double>::quiet_NaN()
                          : sent.until(line.at("local_steps").get<std::int64_t>()));
  });
  history.put_into(run);
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
              {"config", config_pairs(read_text(folder / "config.toml"))},
              {"summary", read_summary(folder / "summary.json")}};
  const auto rounds = read_rounds(folder / "updates.jsonl");
  put_rounds(rounds, run);
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
