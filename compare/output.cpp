#include "compare/output.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace rubato {
namespace {

using json = nlohmann::ordered_json;

// -- CSV ----------------------------------------------------------------------------------------

std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string field(double number) {
  return std::isnan(number) ? std::string() : fmt::format("{}", number);
}

std::string line(const std::vector<std::string>& fields) {
  return fmt::format("{}\n", fmt::join(fields, ","));
}

const std::vector<std::string>& result_columns() {
  static const std::vector<std::string> columns = {
      "outcome",      "final_loss",      "last_loss",        "accuracy",
      "top5",         "bits_per_byte",   "local_steps",      "tokens",
      "epochs",       "virtual_seconds", "bytes_down",       "bytes_up",
      "workers",      "parameters",      "synchronisations", "communication_cost",
      "staleness",    "utilisation",     "updates_applied",  "updates_stale",
      "wall_seconds", "params_sha256"};
  return columns;
}

std::vector<std::string> result_fields(const grid& g, const settled_cell& c) {
  if (!c.result) {
    std::vector<std::string> fields(result_columns().size());
    fields.front() = field(c.failure.empty() ? "missing" : "failed: " + c.failure);
    return fields;
  }
  const auto& r = *c.result;
  const auto& settings =
      g.settings_of(c.what.run, c.what.setting, c.what.combination, c.what.budget);
  return {r.diverged ? "diverged" : "finished",
          field(r.final_loss),
          field(r.last_loss),
          field(r.accuracy),
          field(r.top5),
          field(r.bits_per_byte),
          field(r.local_steps),
          field(r.tokens),
          field(r.epochs),
          field(r.seconds),
          field(r.bytes_down),
          field(r.bytes_up),
          field(r.workers),
          field(r.parameters),
          field(synchronisations(settings, r)),
          field(communication_cost(settings, r)),
          field(r.staleness),
          field(r.utilisation),
          fmt::format("{}", r.applied),
          fmt::format("{}", r.stale),
          field(r.wall_seconds),
          r.params_sha256};
}

// -- JSON ---------------------------------------------------------------------------------------

// The library writes NaN and infinity as null.

json as_json(const estimate& e) {
  return {{"mean", e.mean}, {"error", e.error}, {"count", e.count}};
}

json as_json(const override_list& settings) {
  json value = json::object();
  for (const auto& [key, text] : settings) value[key] = text;
  return value;
}

json as_json(const cost_finding& f) {
  return {{"run", as_json(f.run)}, {"other", as_json(f.other)}, {"ratio", as_json(f.ratio)}};
}

class json_maker {
 public:
  json_maker(const grid& g, const findings& f) : grid_(g), found_(f) {}

  json runs() const;
  json cells(const grid_outcome& outcome) const;
  json results() const;
  json pairs() const;
  json budgets() const;
  json tuning() const;
  json orders() const;

 private:
  const std::string& name(std::size_t run) const { return grid_.spec().runs[run].name; }
  json cell_json(const settled_cell& c) const;

  const grid& grid_;
  const findings& found_;
};

json json_maker::runs() const {
  json list = json::array();
  for (const auto& run : grid_.spec().runs) {
    json tuned = json::object();
    for (const auto& a : run.tune) tuned[a.key] = a.values;
    list.push_back({{"name", run.name},
                    {"set", as_json(run.set)},
                    {"tune", tuned},
                    {"fixed", run.fixed},
                    {"budgets", run.budgets}});
  }
  return list;
}

json json_maker::cell_json(const settled_cell& c) const {
  json value = {{"run", name(c.what.run)},
                {"setting", c.what.setting},
                {"hyper_parameters", as_json(grid_.combinations(c.what.run)[c.what.combination])},
                {"budget", grid_.spec().runs[c.what.run].budgets[c.what.budget]},
                {"seed", c.what.seed},
                {"tuning", c.what.tuning},
                {"directory", "cells/" + c.what.name}};
  if (!c.result) {
    value["outcome"] = c.failure.empty() ? "missing" : "failed";
    value["failure"] = c.failure;
    return value;
  }
  const auto& r = *c.result;
  value["outcome"] = r.diverged ? "diverged" : "finished";
  value["final_loss"] = r.final_loss;
  value["last_loss"] = r.last_loss;
  value["accuracy"] = r.accuracy;
  value["top5"] = r.top5;
  value["bits_per_byte"] = r.bits_per_byte;
  value["local_steps"] = r.local_steps;
  value["tokens"] = r.tokens;
  value["epochs"] = r.epochs;
  value["virtual_seconds"] = r.seconds;
  value["bytes"] = r.bytes();
  value["params_sha256"] = r.params_sha256;
  return value;
}

json json_maker::cells(const grid_outcome& outcome) const {
  json list = json::array();
  for (const auto& group : outcome.groups) {
    for (const auto& c : group.tuning) list.push_back(cell_json(c));
    for (const auto& c : group.reported) list.push_back(cell_json(c));
  }
  return list;
}

json json_maker::results() const {
  json list = json::array();
  for (const auto& f : found_.runs) {
    cell what;
    what.run = f.run;
    what.setting = f.setting;
    what.budget = f.budget;
    list.push_back({{"setting", f.setting},
                    {"run", name(f.run)},
                    {"budget", grid_.spec().runs[f.run].budgets[f.budget]},
                    {"label", method_text(grid_, what)},
                    {"varied", as_json(grid_.varied_for(f.run, f.setting))},
                    {"hyper_parameters", as_json(grid_.combinations(f.run)[f.combination])},
                    {"rank", f.rank == 0 ? json(nullptr) : json(f.rank)},
                    {"diverged", f.diverged},
                    {"missing", f.missing},
                    {"final_loss", as_json(f.final_loss)},
                    {"last_loss", as_json(f.last_loss)},
                    {"accuracy", as_json(f.accuracy)},
                    {"top5", as_json(f.top5)},
                    {"bits_per_byte", as_json(f.bits_per_byte)},
                    {"virtual_seconds", as_json(f.seconds)},
                    {"local_steps", as_json(f.local_steps)},
                    {"tokens", as_json(f.tokens)},
                    {"bytes", as_json(f.bytes)},
                    {"staleness", as_json(f.staleness)},
                    {"utilisation", as_json(f.utilisation)},
                    {"synchronisations", as_json(f.synchronisations)},
                    {"communication_cost", as_json(f.cost)},
                    {"bytes_a_worker", as_json(f.bytes_a_worker)},
                    {"epochs", as_json(f.epochs)},
                    {"seconds_an_epoch", as_json(f.seconds_an_epoch)},
                    {"epoch_speed_up", as_json(f.epoch_speed_up)}});
  }
  return list;
}

json json_maker::pairs() const {
  json list = json::array();
  for (const auto& f : found_.pairs) {
    list.push_back({{"setting", f.setting},
                    {"run", name(f.run)},
                    {"other", name(f.other)},
                    {"difference", as_json(f.difference)},
                    {"accuracy_difference", as_json(f.accuracy_difference)},
                    {"target", f.target ? json(*f.target) : json(nullptr)},
                    {"pairs", f.pairs},
                    {"reached", f.reached},
                    {"virtual_seconds", as_json(f.seconds)},
                    {"local_steps", as_json(f.local_steps)},
                    {"tokens", as_json(f.tokens)},
                    {"bytes", as_json(f.bytes)}});
  }
  return list;
}

json json_maker::budgets() const {
  json list = json::array();
  for (const auto& f : found_.budgets) {
    list.push_back(
        {{"setting", f.setting},
         {"run", name(f.run)},
         {"other", name(f.other)},
         {"budget", f.budget ? json(grid_.spec().runs[f.run].budgets[*f.budget]) : json(nullptr)},
         {"speed_up", as_json(f.speed_up)}});
  }
  return list;
}

json json_maker::tuning() const {
  json list = json::array();
  for (const auto& f : found_.tuning) {
    json tried = json::array();
    for (std::size_t i = 0; i < f.losses.size(); ++i) {
      tried.push_back({{"hyper_parameters", as_json(grid_.combinations(f.run)[i])},
                       {"loss", as_json(f.losses[i])}});
    }
    list.push_back({{"setting", f.setting},
                    {"run", name(f.run)},
                    {"tried", std::move(tried)},
                    {"chosen", f.chosen},
                    {"at_edge", f.at_edge}});
  }
  return list;
}

json json_maker::orders() const {
  json list = json::array();
  for (const auto& f : found_.orders) {
    list.push_back({{"run", name(f.run)},
                    {"key", f.key},
                    {"varied", as_json(f.rest)},
                    {"with", found_.classifies() ? "accuracy" : "final_loss"},
                    {"rank_correlation", f.correlation},
                    {"cells", f.cells}});
  }
  return list;
}

}  // namespace

std::string to_csv(const grid& g, const grid_outcome& outcome) {
  std::vector<std::string> header = {"run", "part"};
  for (const auto& a : g.spec().vary) header.push_back(field(a.key));
  for (const char* column : {"hyper_parameters", "budget", "seed"}) header.emplace_back(column);
  header.insert(header.end(), result_columns().begin(), result_columns().end());
  header.emplace_back("directory");
  std::string text = line(header);

  const auto add = [&](const settled_cell& c) {
    const auto& run = g.spec().runs[c.what.run];
    std::vector<std::string> fields = {field(run.name), c.what.tuning ? "tuning" : "reported"};
    for (const auto& [key, value] : g.settings()[c.what.setting].values) {
      fields.push_back(field(value));
    }
    fields.push_back(field(describe(g.combinations(c.what.run)[c.what.combination])));
    fields.push_back(field(run.budgets[c.what.budget]));
    fields.push_back(fmt::format("{}", c.what.seed));
    for (auto& f : result_fields(g, c)) fields.push_back(std::move(f));
    fields.push_back("cells/" + c.what.name);
    text += line(fields);
  };
  for (const auto& group : outcome.groups) {
    for (const auto& c : group.tuning) add(c);
    for (const auto& c : group.reported) add(c);
  }
  return text;
}

std::string to_json(const grid& g, const grid_outcome& outcome, const findings& f,
                    const std::vector<table>& tables) {
  const json_maker make(g, f);
  json settings = json::array();
  for (const auto& s : g.settings()) settings.push_back(as_json(s.values));
  json baselines = json::array();
  for (const auto run : g.spec().baselines) baselines.push_back(g.spec().runs[run].name);
  json table_list = json::array();
  for (const auto& t : tables) {
    table_list.push_back(
        {{"title", t.title}, {"note", t.note}, {"columns", t.columns}, {"rows", t.rows}});
  }
  const json value = {{"name", g.name()},
                      {"unit", f.unit},
                      {"evaluated_on", f.evaluated_on},
                      {"seeds", g.spec().seeds},
                      {"tuning_seeds", g.spec().tuning_seeds},
                      {"baselines", std::move(baselines)},
                      {"runs", make.runs()},
                      {"settings", std::move(settings)},
                      {"results", make.results()},
                      {"pairs", make.pairs()},
                      {"budgets", make.budgets()},
                      {"tuning", make.tuning()},
                      {"orders", make.orders()},
                      {"cells", make.cells(outcome)},
                      {"notes", f.notes},
                      {"tables", std::move(table_list)}};
  // A path need not be UTF-8: bytes that are not become U+FFFD instead of an exception.
  return value.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace rubato
