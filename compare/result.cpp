#include "compare/result.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "compare/statistics.hpp"
#include "config/error.hpp"

namespace rubato {
namespace {

using json = nlohmann::json;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

double number_or(const json& value, double otherwise) {
  return value.is_number() ? value.get<double>() : otherwise;
}

/// NaN if there is no such number, or no object at all.
double number_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? not_a_number : number_or(*found, not_a_number);
}

/// Calls `take` with each line of a .jsonl file.
template <class Take>
void for_each_line(const std::string& path, Take take) {
  std::ifstream in(path);
  if (!in.is_open()) throw run_error(path + ": is missing beside a summary.json");
  for (std::string line; std::getline(in, line);) take(json::parse(line));
}

void read_summary(const json& summary, cell_result& out) {
  out.diverged = summary.at("outcome") == "diverged";
  out.unit = summary.at("unit");
  out.evaluated_on = summary.at("evaluated_on");
  out.local_steps = summary.at("local_steps");
  out.tokens = summary.at("tokens");
  out.seconds = summary.at("clock_seconds");
  out.bytes_down = summary.at("bytes").at("down");
  out.bytes_up = summary.at("bytes").at("up");
  out.workers = summary.at("workers");
  out.parameters = summary.at("parameters");
  out.versions = summary.at("server_version");
  out.epochs = number_at(summary, "epochs");
  out.staleness = number_or(summary.at("staleness").at("mean"), not_a_number);
  out.utilisation = number_or(summary.at("utilisation"), not_a_number);
  out.applied = summary.at("updates").at("applied");
  out.stale = summary.at("updates").at("stale");
  out.wall_seconds = summary.at("wall_seconds");
  out.params_sha256 = summary.at("params_sha256");
  const json& last = summary.at("final");
  out.accuracy = number_at(last, "accuracy");
  out.top5 = number_at(last, "top5");
  out.bits_per_byte = number_at(last, "bits_per_byte");
}

/// When parameters went out and pseudo-gradients came in, in order of time.
struct transfers {
  std::vector<double> down;
  std::vector<double> up;
};

transfers read_transfers(const std::string& path) {
  transfers found;
  for_each_line(path, [&](const json& line) {
    found.down.push_back(line.at("assigned_seconds"));
    const auto& fate = line.at("fate").get_ref<const std::string&>();
    if (fate != "run_ended" && fate != "abandoned") {
      found.up.push_back(line.at("settled_seconds"));
    }
  });
  std::sort(found.down.begin(), found.down.end());
  std::sort(found.up.begin(), found.up.end());
  return found;
}

/// The part of `times` up to `now`.
double share_until(const std::vector<double>& times, double now) {
  if (times.empty()) return 0.0;
  const auto until = std::upper_bound(times.begin(), times.end(), now) - times.begin();
  return static_cast<double>(until) / static_cast<double>(times.size());
}

cell_result read_finished(const std::string& directory, const json& summary) {
  cell_result result;
  read_summary(summary, result);
  // All transfers of a run are of one size, so their number is what counts.
  const transfers moved = read_transfers(directory + "/updates.jsonl");
  std::vector<double> losses;  // after the first step
  for_each_line(directory + "/metrics.jsonl", [&](const json& line) {
    if (line.contains("event")) return;
    curve_point p;
    p.local_steps = line.at("local_steps");
    p.tokens = line.at("tokens");
    p.seconds = line.at("clock_seconds");
    p.bytes = result.bytes_down * share_until(moved.down, p.seconds) +
              result.bytes_up * share_until(moved.up, p.seconds);
    p.loss = number_or(line.at("loss"), infinity);
    if (p.local_steps > 0.0) losses.push_back(p.loss);
    result.curve.push_back(p);
  });
  if (result.curve.empty()) throw run_error(directory + "/metrics.jsonl: has no evaluation");
  result.initial_loss = result.curve.front().loss;
  if (losses.empty()) losses.push_back(result.initial_loss);
  result.final_loss = result.diverged ? infinity : mean_of_last(losses, evaluations_averaged);
  result.last_loss = result.diverged ? infinity : losses.back();
  return result;
}

}  // namespace

std::optional<cell_result> read_result(const std::string& directory) {
  std::ifstream in(directory + "/summary.json");
  if (!in.is_open()) return std::nullopt;
  try {
    const json summary = json::parse(in);
    if (summary.at("outcome") == "interrupted") return std::nullopt;
    return read_finished(directory, summary);
  } catch (const json::exception& error) {
    throw run_error(directory + ": not the files of a finished run: " + error.what());
  }
}

}  // namespace rubato
