#include "compare/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "monitoring/human.hpp"

namespace rubato {
namespace {

constexpr std::size_t text_columns = 78;
constexpr std::size_t table_columns = 100;

/// "1.1523 ± 0.0012"; without a spread the mean alone.
std::string with_error(const estimate& e, int decimals) {
  if (e.count == 0) return "-";
  std::string text = human_number(e.mean, decimals);
  if (std::isfinite(e.error)) text += " ± " + human_number(e.error, decimals);
  return text;
}

std::string mean_ratio_text(const estimate& e) {
  return std::isfinite(e.mean) ? fmt::format("{:.2f}x", e.mean) : "-";
}

std::string ratio_text(const estimate& e) {
  std::string text = mean_ratio_text(e);
  if (std::isfinite(e.error)) text += fmt::format(" ± {:.2f}", e.error);
  return text;
}

std::string signed_with_error(const estimate& e) {
  if (e.count == 0 || !std::isfinite(e.mean)) return "-";
  const std::string text = with_error(e, 4);
  if (text.rfind("-0.0000", 0) == 0) return text.substr(1);  // less than what is shown
  return (e.mean > 0.0 ? "+" : "") + text;
}

std::string percent(const estimate& e) {
  return std::isfinite(e.mean) ? fmt::format("{:.1f}%", 100.0 * e.mean) : "-";
}

/// "71.3 ± 0.4%".
std::string percent_with_error(const estimate& e) {
  if (!std::isfinite(e.error)) return percent(e);
  return fmt::format("{:.1f} ± {:.1f}%", 100.0 * e.mean, 100.0 * e.error);
}

/// "+1.2 ± 0.4%", a difference of percentages.
std::string signed_percent(const estimate& e) {
  const std::string text = percent_with_error(e);
  if (text.rfind("-0.0", 0) == 0) return text.substr(1);  // less than what is shown
  return (e.mean > 0.0 ? "+" : "") + text;
}

std::string loss_text(const run_finding& f, const estimate& loss) {
  const auto seeds = f.final_loss.count;
  if (seeds == 0) return "no result";
  if (f.diverged == 0) return with_error(loss, 4);
  if (f.diverged == seeds) return "diverged";
  return fmt::format("{} of {} diverged", f.diverged, seeds);
}

std::string seconds_text(const estimate& e) {
  return std::isfinite(e.mean) ? human_duration(e.mean) : "-";
}

std::string bytes_text(double bytes) {
  return std::isfinite(bytes) ? human_bytes(static_cast<std::uint64_t>(bytes)) : "-";
}

std::string count_text(const estimate& e) {
  return std::isfinite(e.mean) ? human_count(e.mean) : "-";
}

std::string titled(const std::string& what, const setting& s) {
  return s.label.empty() ? what : what + ", with " + s.label;
}

/// "H", or what follows the dot: "count" of "workers.count".
std::string short_key(const std::string& key) {
  return key == "quota.local_steps" ? "H" : key.substr(key.find('.') + 1);
}

std::string budget_text(double budget) {
  return fmt::format("{:g}", budget);
}

class table_maker {
 public:
  table_maker(const grid& g, const findings& f) : grid_(g), found_(f) {}
  std::vector<table> make() const;

 private:
  table results(std::size_t setting) const;
  table against(std::size_t setting, std::size_t baseline) const;
  table communication() const;
  table budgets() const;
  table tuning() const;
  const std::string& name(std::size_t run) const { return grid_.spec().runs[run].name; }
  std::string data_name() const {
    if (!grid_.spec().tunes()) return found_.evaluated_on + " data";
    return "half b of the " + found_.evaluated_on + " data";
  }

  const grid& grid_;
  const findings& found_;
};

table table_maker::results(std::size_t setting) const {
  const auto& runs = grid_.spec().runs;
  const auto some = [&](auto holds) {
    return std::any_of(found_.runs.begin(), found_.runs.end(), holds);
  };
  const bool top5 = some([](const run_finding& f) { return std::isfinite(f.top5.mean); });
  const bool stale = some([](const run_finding& f) { return f.staleness.mean > 0.0; });
  const bool several_budgets = std::any_of(
      runs.begin(), runs.end(), [](const compared_run& run) { return run.budgets.size() > 1; });
  table t;
  t.title = titled("Results", grid_.settings()[setting]);
  t.note = fmt::format(
      "Final loss: the mean of the last {} evaluations on {}, in nats per {}; last: the last one "
      "alone. Time is virtual. Mean ± standard error over {} seed{}.",
      evaluations_averaged, data_name(), found_.unit, grid_.spec().seeds.size(),
      grid_.spec().seeds.size() == 1 ? "" : "s");
  t.columns = {"run"};
  if (several_budgets) t.columns.push_back("budget");
  for (const char* column : {"rank", "final loss", "last"}) t.columns.emplace_back(column);
  t.columns.emplace_back(found_.classifies() ? "accuracy" : "bits/byte");
  if (top5) t.columns.emplace_back("top-5");
  for (const char* column : {"time", "steps"}) t.columns.emplace_back(column);
  t.columns.push_back(found_.unit + "s");
  if (stale) t.columns.emplace_back("staleness");
  t.columns.emplace_back("busy");

  for (const auto& f : found_.runs) {
    if (f.setting != setting) continue;
    std::vector<std::string> row = {name(f.run)};
    if (several_budgets) row.push_back(budget_text(runs[f.run].budgets[f.budget]));
    row.push_back(f.rank == 0 ? "" : fmt::format("{}", f.rank));
    row.push_back(loss_text(f, f.final_loss));
    row.push_back(f.diverged == 0 && f.last_loss.count > 0 ? human_number(f.last_loss.mean, 4)
                                                           : "-");
    row.push_back(found_.classifies()       ? percent_with_error(f.accuracy)
                  : f.final_loss.count == 0 ? "-"
                                            : human_number(f.bits_per_byte.mean, 4));
    if (top5) row.push_back(percent(f.top5));
    row.push_back(seconds_text(f.seconds));
    row.push_back(count_text(f.local_steps));
    row.push_back(count_text(f.tokens));
    if (stale) row.push_back(f.staleness.count == 0 ? "-" : human_number(f.staleness.mean, 2));
    row.push_back(percent(f.utilisation));
    t.rows.push_back(std::move(row));
  }
  return t;
}

table table_maker::against(std::size_t setting, std::size_t baseline) const {
  table t;
  t.title = titled("Against " + name(baseline), grid_.settings()[setting]);
  t.note = fmt::format(
      "Difference: of the final loss, paired by seed; below 0 the run is better{}. Then what it "
      "takes to get down to the same loss ({}) for the first time: virtual time, and how many "
      "times as much the baseline takes of time, of local steps (and so of {}s) and of bytes; "
      "above 1 the run is better. Between evaluations the loss is interpolated.",
      found_.classifies() ? ". Accuracy: the same of it; above 0 the run is better" : "",
      grid_.spec().target ? "compare.target" : "the worst final loss of any seed of the two",
      found_.unit);
  t.columns = {"run", "difference"};
  if (found_.classifies()) t.columns.emplace_back("accuracy");
  for (const char* column : {"at loss", "time", "speed-up", "steps", "bytes"}) {
    t.columns.emplace_back(column);
  }
  for (const auto& f : found_.pairs) {
    if (f.setting != setting || f.other != baseline) continue;
    std::vector<std::string> row = {name(f.run), signed_with_error(f.difference)};
    if (found_.classifies()) row.push_back(signed_percent(f.accuracy_difference));
    row.push_back(f.target ? human_number(*f.target, 4) : "-");
    row.push_back(seconds_text(f.seconds.run));
    std::string speed_up = ratio_text(f.seconds.ratio);
    if (f.target && f.reached < f.pairs) {
      speed_up += fmt::format(" ({} of {} seeds)", f.reached, f.pairs);
    }
    row.push_back(std::move(speed_up));
    row.push_back(mean_ratio_text(f.local_steps.ratio));
    row.push_back(ratio_text(f.bytes.ratio));
    t.rows.push_back(std::move(row));
  }
  return t;
}

table table_maker::communication() const {
  const auto& spec = grid_.spec();
  table t;
  t.title = "Communication";
  t.columns = {"run"};
  for (const auto& varied : spec.vary) {
    t.columns.push_back(short_key(varied.key));
    t.note += fmt::format("{}: {}. ", t.columns.back(), varied.key);
  }
  for (const char* column :
       {"syncs", "cost", "in bytes", "measured", "epochs", "an epoch", "speed-up"}) {
    t.columns.emplace_back(column);
  }
  t.note += fmt::format(
      "Syncs: how often every worker exchanges its parameters; the versions of a synchronous run, "
      "and of an asynchronous one the updates applied by the number of workers. Cost: 2 x "
      "parameters x syncs, in parameters and in bytes. Measured: what went to and from a worker. "
      "Epochs: {}s trained on by the size of the training data. An epoch's time is virtual; "
      "speed-up: that of {} by it.",
      found_.unit,
      spec.runs.size() > 1 ? name(spec.baselines.front()) + " in the same setting"
                           : std::string("the first row"));
  // The settings of a run stand together. One that sets what is varied itself is the same in
  // several of them.
  for (std::size_t run = 0; run < spec.runs.size(); ++run) {
    std::vector<override_list> shown;
    for (const auto& f : found_.runs) {
      if (f.run != run || f.budget != spec.runs[run].whole_budget()) continue;
      const auto varied = grid_.varied_for(run, f.setting);
      if (std::find(shown.begin(), shown.end(), varied) != shown.end()) continue;
      shown.push_back(varied);
      std::vector<std::string> row = {name(run)};
      for (const auto& value : grid_.settings()[f.setting].values) {
        const bool own = std::find(varied.begin(), varied.end(), value) == varied.end();
        row.push_back(own ? "-" : value.second);
      }
      row.push_back(count_text(f.synchronisations));
      row.push_back(count_text(f.cost));
      row.push_back(bytes_text(f.cost.mean * sizeof(float)));
      row.push_back(bytes_text(f.bytes_a_worker.mean));
      row.push_back(std::isfinite(f.epochs.mean) ? fmt::format("{:.3g}", f.epochs.mean) : "-");
      row.push_back(seconds_text(f.seconds_an_epoch));
      row.push_back(mean_ratio_text(f.epoch_speed_up));
      t.rows.push_back(std::move(row));
    }
  }
  return t;
}

table table_maker::budgets() const {
  table t;
  t.title = "Smallest budget that ends at a baseline's final loss or below";
  t.note =
      "In multiples of run.local_steps, each with a learning-rate schedule of its own length. "
      "Speed-up: the baseline's whole virtual time by the run's.";
  t.columns = {"setting", "run", "baseline", "budget", "speed-up"};
  for (const auto& f : found_.budgets) {
    t.rows.push_back({grid_.settings()[f.setting].label, name(f.run), name(f.other),
                      f.budget ? budget_text(grid_.spec().runs[f.run].budgets[*f.budget])
                               : "none of those tried",
                      ratio_text(f.speed_up)});
  }
  return t;
}

table table_maker::tuning() const {
  table t;
  t.title = "Hyper-parameters";
  t.note = fmt::format(
      "Chosen by the lowest mean final loss on half a of the held-out data, with {} seed{} not "
      "reported.",
      grid_.spec().tuning_seeds.size(), grid_.spec().tuning_seeds.size() == 1 ? "" : "s");
  t.columns = {"setting", "run", "hyper-parameters", "loss on half a", ""};
  for (const auto& f : found_.tuning) {
    const auto& combinations = grid_.combinations(f.run);
    for (std::size_t i = 0; i < combinations.size(); ++i) {
      const auto& loss = f.losses[i];
      t.rows.push_back({grid_.settings()[f.setting].label, name(f.run), describe(combinations[i]),
                        loss.count == 0            ? "no result"
                        : std::isfinite(loss.mean) ? with_error(loss, 4)
                                                   : "diverged",
                        i != f.chosen       ? ""
                        : f.at_edge.empty() ? "chosen"
                                            : "chosen, at the edge"});
    }
  }
  return t;
}

std::vector<table> table_maker::make() const {
  std::vector<table> all;
  for (std::size_t setting = 0; setting < grid_.settings().size(); ++setting) {
    all.push_back(results(setting));
    if (grid_.spec().runs.size() < 2) continue;
    for (const auto baseline : grid_.spec().baselines) all.push_back(against(setting, baseline));
  }
  all.push_back(communication());
  if (!found_.budgets.empty()) all.push_back(budgets());
  if (!found_.tuning.empty()) all.push_back(tuning());
  return all;
}

/// Columns on a terminal: bytes that continue a UTF-8 character take none.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string wrapped(std::string_view text, std::string_view indent) {
  std::string result;
  while (!text.empty()) {
    auto end = text.size();
    if (end > text_columns) {
      end = text.rfind(' ', text_columns);
      if (end == std::string_view::npos) end = std::min(text.find(' '), text.size());
    }
    result += fmt::format("{}{}\n", indent, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

}  // namespace

std::vector<table> tables_of(const grid& g, const findings& f) {
  return table_maker(g, f).make();
}

table runs_of(const grid& g) {
  table t;
  t.title = "Runs";
  t.note =
      "What each run sets; everything else is the same for all. Initial weights, held-out data and "
      "the order of the data in each shard depend on the seed alone.";
  t.columns = {"run", "sets", "tuned"};
  for (const auto& run : g.spec().runs) {
    std::string tuned = run.fixed ? "on purpose not" : "-";
    if (!run.tune.empty()) {
      tuned.clear();
      for (const auto& a : run.tune) {
        tuned += fmt::format("{}{} in [{}]", tuned.empty() ? "" : ", ", a.key,
                             fmt::join(a.values, ", "));
      }
    }
    t.rows.push_back({run.name, describe(run.set), tuned});
  }
  return t;
}

table as_table(const std::vector<std::string>& notes) {
  table t{"Notes", "", {"before believing the tables"}, {}};
  for (const auto& note : notes) t.rows.push_back({note});
  return t;
}

namespace {

std::string aligned(const table& t) {
  // A column that is empty throughout (the setting, where there is one only) is not shown.
  std::vector<std::size_t> widths(t.columns.size(), 0);
  for (const auto& row : t.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  for (std::size_t i = 0; i < widths.size(); ++i) {
    if (widths[i] > 0) widths[i] = std::max(widths[i], width_of(t.columns[i]));
  }
  const auto line = [&](const std::vector<std::string>& cells, std::size_t begin, std::size_t end) {
    std::string text;
    const auto add = [&](std::size_t i) {
      if (widths[i] == 0) return;
      const std::string padding(widths[i] - width_of(cells[i]), ' ');
      // The first column is a name, the others are numbers for the most part.
      text += "  " + (i == 0 ? cells[i] + padding : padding + cells[i]);
    };
    add(0);
    for (std::size_t i = begin; i < end; ++i) add(i);
    text.erase(text.find_last_not_of(' ') + 1);
    return text + '\n';
  };
  std::string text = t.title + '\n';
  std::size_t begin = 1;
  do {
    std::size_t end = begin;
    std::size_t width = 2 + widths[0];
    while (end < widths.size() && (end == begin || width + 2 + widths[end] <= table_columns)) {
      width += widths[end] == 0 ? 0 : 2 + widths[end];
      ++end;
    }
    text += line(t.columns, begin, end);
    for (const auto& row : t.rows) text += line(row, begin, end);
    begin = end;
  } while (begin < widths.size());
  return text;
}

}  // namespace

std::string to_text(const std::vector<table>& tables) {
  std::string text;
  std::vector<std::string> said;
  for (const auto& t : tables) {
    if (!text.empty()) text += '\n';
    text += aligned(t);
    if (std::find(said.begin(), said.end(), t.note) != said.end()) continue;
    text += wrapped(t.note, "  ");
    said.push_back(t.note);
  }
  return text;
}

std::string to_text(const std::vector<std::string>& notes) {
  std::string text;
  for (const auto& note : notes) {
    const auto lines = wrapped(note, "  ");
    text += "- " + lines.substr(2);
  }
  return text;
}

}  // namespace rubato
