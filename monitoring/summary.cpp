#include "monitoring/summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "monitoring/human.hpp"

namespace rubato {
namespace {

using json = nlohmann::ordered_json;

constexpr double worth_saying = 0.05;      // of waits for data
constexpr std::size_t workers_shown = 12;  // a run may have thousands; summary.json has them all

// The library writes NaN and infinity as null. A path need not be UTF-8: bytes that are not become
// U+FFFD instead of an exception.
std::string dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

json as_json(const evaluation& e) {
  return {{"local_steps", e.local_steps},
          {"version", e.version},
          {"tokens", e.tokens},
          {"clock_seconds", e.clock_seconds},
          {"wall_seconds", e.wall_seconds},
          {"loss", e.loss},
          {"perplexity", e.perplexity},
          {"bits_per_byte", e.bits_per_byte},
          {"accuracy", e.accuracy},
          {"top5", e.top5},
          {"metrics", e.metrics},
          {"shard_loss", e.shard_loss},
          {"quotas", e.quotas},
          {"workers_live", std::count_if(e.quotas.begin(), e.quotas.end(),
                                         [](std::int64_t quota) { return quota > 0; })}};
}

// Zero stands for what was never measured, which is nothing in JSON.
json unless_zero(double value) {
  return value == 0.0 ? json(nullptr) : json(value);
}

json as_json(const std::optional<evaluation>& e) {
  return e ? as_json(*e) : json(nullptr);
}

std::string outcome_line(const run_summary& s) {
  std::string outcome = s.outcome.empty() ? "ended" : s.outcome;
  outcome[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(outcome[0])));
  return fmt::format("{} after {} local steps: {}\n", outcome, s.local_steps, s.method);
}

// One row of the table of results: the final value, the best one, and what they mean.
std::string result_row(const std::string& name, const std::string& final, const std::string& best,
                       const std::string& remark) {
  return fmt::format("  {:<13}  {:>9}  {:>9}   {}\n", name, final, best, remark);
}

std::string results(const run_summary& s) {
  if (!s.final) return "  no evaluation was made\n";
  const evaluation& final = *s.final;
  const evaluation& best = s.best ? *s.best : final;
  std::string baselines = human_baselines(s.baselines);
  if (!baselines.empty()) baselines = "n-grams: " + baselines;

  const bool of_text = s.unit == "token";
  std::string text = result_row(s.evaluated_on + " data", "final", "best",
                                fmt::format("best: after {} steps", best.local_steps));
  text += result_row("loss", human_number(final.loss, 4), human_number(best.loss, 4),
                     "nats per " + s.unit);
  if (of_text) {
    text += result_row("perplexity", human_number(final.perplexity, 2),
                       human_number(best.perplexity, 2), "e to the loss");
    text += result_row("bits per byte", human_number(final.bits_per_byte, 4),
                       human_number(best.bits_per_byte, 4), baselines);
  }
  if (!std::isnan(final.accuracy)) {
    text += result_row("accuracy", fmt::format("{:.1f}%", 100.0 * final.accuracy),
                       fmt::format("{:.1f}%", 100.0 * best.accuracy),
                       of_text ? "next token guessed right" : "classified right");
  }
  for (const auto& [name, value] : final.metrics) {
    const auto of_best = best.metrics.find(name);
    if (name == "accuracy" || of_best == best.metrics.end()) continue;
    text += result_row(name, human_number(value, 4), human_number(of_best->second, 4), "");
  }
  if (!std::isnan(final.top5)) {
    text += result_row("top-5", fmt::format("{:.1f}%", 100.0 * final.top5),
                       fmt::format("{:.1f}%", 100.0 * best.top5),
                       "right class among the five most likely");
  }
  return text;
}

// "  name           value", the value in lines of at most 80 columns that end between words, none
// of which is longer than that.
std::string cost_row(std::string name, std::string_view value) {
  constexpr std::size_t room = 63;
  std::string row;
  while (!value.empty()) {
    const auto end = value.size() <= room ? value.size() : value.rfind(' ', room);
    row += fmt::format("  {:<13}  {}\n", name, value.substr(0, end));
    value.remove_prefix(std::min(end + 1, value.size()));
    name.clear();
  }
  return row;
}

std::string costs(const run_summary& s) {
  std::string time = human_duration(s.wall_seconds) + " real";
  if (s.clock == "virtual") time += fmt::format(", {} virtual", human_duration(s.virtual_seconds));
  std::string text;
  const auto row = [&text](const std::string& name, const std::string& value) {
    text += cost_row(name, value);
  };
  row("time", time);
  row(s.unit + "s",
      fmt::format("{}, {} a second of real time", human_count(static_cast<double>(s.tokens)),
                  human_count(s.tokens_per_second)));
  row("utilisation", fmt::format("{:.1f}% of the workers' time ({} clock) was local steps",
                                 100.0 * s.utilisation, s.clock));
  if (s.data_wait >= worth_saying) {
    row("data", fmt::format("{:.1f}% of the real time of rounds was spent on waiting for batches",
                            100.0 * s.data_wait));
  }
  row("staleness", fmt::format("mean {:.2f}, median {}, 99% at most {}, max {}", s.staleness.mean,
                               s.staleness.p50, s.staleness.p99, s.staleness.max));
  row("", "(versions published while an update was being computed)");
  row("updates", fmt::format("{} applied, {} too stale, {} rejected, {} duplicate, {} cut off",
                             s.updates.applied, s.updates.stale, s.updates.rejected,
                             s.updates.duplicate, s.updates.run_ended));
  row("", "(cut off: on their way when the run ended)");
  if (!s.updates.rejected_as.empty()) {
    std::vector<std::string> reasons;
    for (const auto& [reason, count] : s.updates.rejected_as) {
      reasons.push_back(fmt::format("{} {}", count, reason));
    }
    row("", fmt::format("(rejected: {})", fmt::join(reasons, ", ")));
  }
  if (s.updates.abandoned > 0) {
    row("", fmt::format("{} more abandoned, because their workers left", s.updates.abandoned));
  }
  if (s.late.rounds > 0) {
    std::int64_t rounds = 0;
    for (const auto& worker : s.per_worker) rounds += worker.rounds;
    row("late", fmt::format("{} of {} rounds were finished later than due, by {} on average, {} at "
                            "most: this machine is too slow for these paces",
                            s.late.rounds, rounds, human_duration(s.late.mean_seconds),
                            human_duration(s.late.max_seconds)));
  }
  if (s.evaluations_skipped > 0) {
    row("evaluations", fmt::format("{} skipped: each fell due while another was still running",
                                   s.evaluations_skipped));
  }
  if (s.inner_states_behind > 0) {
    row("resumed", fmt::format("{} times a worker went on with an older state of its optimizer",
                               s.inner_states_behind));
  }
  row("traffic", fmt::format("{} to the workers, {} to the server", human_bytes(s.bytes.down),
                             human_bytes(s.bytes.up)));
  if (s.bytes.within_groups > 0) {
    row("", fmt::format("({} of it within groups)", human_bytes(s.bytes.within_groups)));
  }
  if (s.bytes.wire_down > 0) {
    row("", fmt::format("measured on the links: {} down, {} up", human_bytes(s.bytes.wire_down),
                        human_bytes(s.bytes.wire_up)));
  }
  for (const auto& note : s.data_notes) row("data", note);
  row("parameters", fmt::format("{}, SHA-256 {:.16}...",
                                human_count(static_cast<double>(s.parameters)), s.params_sha256));
  return text;
}

std::string worker_table(const run_summary& s) {
  std::string text = "  worker           pace    rounds  local steps  utilisation\n";
  for (std::size_t i = 0; i < std::min(s.per_worker.size(), workers_shown); ++i) {
    const auto& worker = s.per_worker[i];
    const std::string pace =
        worker.seconds_per_step > 0.0 ? human_pace(worker.seconds_per_step) + "/step" : "-";
    text += fmt::format("  {:>6}  {:>13}  {:>8}  {:>11}  {:>10.1f}%\n", i, pace, worker.rounds,
                        worker.local_steps, 100.0 * worker.utilisation);
  }
  if (s.per_worker.size() > workers_shown) {
    text += fmt::format("  ... and {} more workers, in summary.json\n",
                        s.per_worker.size() - workers_shown);
  }
  return text;
}

}  // namespace

std::string to_json(const run_summary& s) {
  json workers = json::array();
  for (const auto& worker : s.per_worker) {
    workers.push_back({{"seconds_per_step", unless_zero(worker.seconds_per_step)},
                       {"rounds", worker.rounds},
                       {"local_steps", worker.local_steps},
                       {"utilisation", worker.utilisation}});
  }
  json baselines = json::object();
  for (const auto& b : s.baselines) baselines[b.name] = {{"bits_per_byte", b.bits_per_byte}};
  const json value = {
      {"outcome", s.outcome},
      {"method", s.method},
      {"seed", s.seed},
      {"clock", s.clock},
      {"unit", s.unit},
      {"evaluated_on", s.evaluated_on},
      {"precision", s.precision},
      {"parameters", s.parameters},
      {"workers", s.workers},
      {"local_steps", s.local_steps},
      {"tokens", s.tokens},
      {"epochs", s.epochs},
      {"server_version", s.server_version},
      {"wall_seconds", s.wall_seconds},
      {"clock_seconds", s.clock_seconds},
      {"virtual_seconds", s.virtual_seconds},
      {"tokens_per_second", s.tokens_per_second},
      {"utilisation", s.utilisation},
      {"data_wait", s.data_wait},
      {"staleness",
       {{"mean", s.staleness.mean},
        {"p50", s.staleness.p50},
        {"p99", s.staleness.p99},
        {"max", s.staleness.max}}},
      {"updates",
       {{"applied", s.updates.applied},
        {"stale", s.updates.stale},
        {"rejected", s.updates.rejected},
        {"rejected_as", s.updates.rejected_as},
        {"duplicate", s.updates.duplicate},
        {"run_ended", s.updates.run_ended},
        {"abandoned", s.updates.abandoned}}},
      {"late",
       {{"rounds", s.late.rounds},
        {"mean_seconds", s.late.mean_seconds},
        {"max_seconds", s.late.max_seconds}}},
      {"evaluations_skipped", s.evaluations_skipped},
      {"inner_states_behind", s.inner_states_behind},
      {"bytes",
       {{"down", s.bytes.down},
        {"up", s.bytes.up},
        {"within_groups", s.bytes.within_groups},
        {"wire_down", s.bytes.wire_down},
        {"wire_up", s.bytes.wire_up}}},
      {"final", as_json(s.final)},
      {"best", as_json(s.best)},
      {"last_finite_version", s.last_finite_version ? json(*s.last_finite_version) : json(nullptr)},
      {"data_notes", s.data_notes},
      {"baselines", std::move(baselines)},
      {"per_worker", std::move(workers)},
      {"params_sha256", s.params_sha256},
      {"directory", s.directory}};
  return dump(value, 2) + '\n';
}

std::string to_text(const run_summary& s) {
  return outcome_line(s) + '\n' + results(s) + '\n' + costs(s) + '\n' + worker_table(s) +
         fmt::format("\n  everything about this run is in {}\n", s.directory);
}

std::string to_json_line(const evaluation& e) {
  return dump(as_json(e), -1);
}

std::string to_json_line(const worker_change_record& change) {
  const json value = {{"event", change.what},
                      {"clock_seconds", change.clock_seconds},
                      {"worker", change.worker},
                      {"seconds_per_step", change.seconds_per_step},
                      {"quota", change.quota}};
  return dump(value, -1);
}

}  // namespace rubato
