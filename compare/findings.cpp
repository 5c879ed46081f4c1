#include "compare/findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "config/stages.hpp"

namespace rubato {
namespace {

// Losses of the same parameters on the same data: the last bits may depend on the machine, if a
// comparison is resumed on another.
constexpr double same_loss = 1e-6;

constexpr double worth_a_word = 1.01;  // speed-ups below are none

constexpr std::size_t fewest_ordered = 3;  // values of a key; of two, any pair is in some order

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct named_role {
  method_role role;
  std::string_view name;
};
constexpr std::array<named_role, 7> roles_of_language_models = {{
    {method_role::single_worker, "a single worker"},
    {method_role::data_parallel, "data-parallel training"},
    {method_role::sync, "sync"},
    {method_role::sync_dylu, "sync with DyLU quotas"},
    {method_role::sync_dylu_tokens, "sync with DyLU quotas and a mean weighted with tokens"},
    {method_role::delayed_nesterov, "delayed Nesterov"},
    {method_role::delayed_nesterov_dylu, "delayed Nesterov with DyLU"},
}};

using seed_results = std::map<std::uint64_t, const cell_result*>;

seed_results results_of(const cell_group& group, std::size_t budget) {
  seed_results results;
  for (const auto& c : group.reported) {
    if (c.what.budget == budget && c.result) results[c.what.seed] = &*c.result;
  }
  return results;
}

template <class Value>
estimate over_seeds(const seed_results& results, Value value) {
  std::vector<double> values;
  for (const auto& [seed, result] : results) values.push_back(value(*result));
  return estimate_of(values);
}

/// What `a` and `b` have at the same seeds.
using result_pairs = std::vector<std::pair<const cell_result*, const cell_result*>>;

result_pairs paired(const seed_results& a, const seed_results& b) {
  result_pairs pairs;
  for (const auto& [seed, result] : a) {
    const auto other = b.find(seed);
    if (other != b.end()) pairs.emplace_back(result, other->second);
  }
  return pairs;
}

std::optional<double> cost_to_reach(const cell_result& result, double loss,
                                    double curve_point::*axis) {
  if (result.diverged) return std::nullopt;
  std::vector<point> curve;
  for (const auto& p : result.curve) curve.push_back({p.*axis, p.loss});
  return first_crossing(curve, loss);
}

/// What a value in TOML says if it is a number.
std::optional<double> number_of(std::string_view text) {
  double value = 0.0;
  const auto* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string with(const std::string& label) {
  return label.empty() ? label : fmt::format("With {}: ", label);
}

class finder {
 public:
  finder(const grid& g, const grid_outcome& outcome) : grid_(g), outcome_(outcome) {}
  findings find();

 private:
  const cell_group& group(std::size_t setting, std::size_t run) const {
    return outcome_.groups[setting * grid_.spec().runs.size() + run];
  }
  std::size_t whole_budget(std::size_t run) const { return grid_.spec().runs[run].whole_budget(); }
  seed_results whole_results(std::size_t setting, std::size_t run) const {
    return results_of(group(setting, run), whole_budget(run));
  }
  const pair_finding& pair_of(std::size_t setting, std::size_t run, std::size_t other) const;

  void find_run(const cell_group& of);
  void find_communication(const seed_results& results, run_finding& f) const;
  void rank(std::size_t setting);
  void find_pair(std::size_t setting, std::size_t run, std::size_t other);
  void find_budget(std::size_t setting, std::size_t run, std::size_t other);
  void find_tuning(const cell_group& of);
  void find_orders(const axis& varied);
  std::optional<double> quality_of(const cell_result& result) const;

  void note_outcomes();
  void note_starts();
  void note_tuning();
  void note_rows();
  void note_conditions();
  void note_quotas(std::size_t setting);
  void note_orders();
  void note(std::string text) { found_.notes.push_back(std::move(text)); }
  const std::string& name(std::size_t run) const { return grid_.spec().runs[run].name; }
  const config& config_of(std::size_t setting, std::size_t run) const {
    return grid_.settings_of(run, setting, group(setting, run).chosen, whole_budget(run));
  }
  std::string in_setting(std::size_t setting) const {
    return with(grid_.settings()[setting].label);
  }

  const grid& grid_;
  const grid_outcome& outcome_;
  findings found_;
};

const pair_finding& finder::pair_of(std::size_t setting, std::size_t run, std::size_t other) const {
  return *std::find_if(found_.pairs.begin(), found_.pairs.end(), [&](const pair_finding& p) {
    return p.setting == setting && p.run == run && p.other == other;
  });
}

// -- numbers ------------------------------------------------------------------------------------

void finder::find_run(const cell_group& of) {
  for (std::size_t budget = 0; budget < grid_.spec().runs[of.run].budgets.size(); ++budget) {
    const auto results = results_of(of, budget);
    const auto mean = [&](double cell_result::*member) {
      return over_seeds(results, [member](const cell_result& r) { return r.*member; });
    };
    run_finding f;
    f.setting = of.setting;
    f.run = of.run;
    f.budget = budget;
    f.combination = of.chosen;
    for (const auto& [seed, result] : results) {
      f.diverged += result->diverged ? 1 : 0;
      found_.unit = result->unit;
      found_.evaluated_on = result->evaluated_on;
    }
    f.missing = grid_.spec().seeds.size() - results.size();
    f.final_loss = mean(&cell_result::final_loss);
    f.last_loss = mean(&cell_result::last_loss);
    f.accuracy = mean(&cell_result::accuracy);
    f.top5 = mean(&cell_result::top5);
    f.bits_per_byte = mean(&cell_result::bits_per_byte);
    f.seconds = mean(&cell_result::seconds);
    f.local_steps = mean(&cell_result::local_steps);
    f.tokens = mean(&cell_result::tokens);
    f.bytes = over_seeds(results, [](const cell_result& r) { return r.bytes(); });
    f.staleness = mean(&cell_result::staleness);
    f.utilisation = mean(&cell_result::utilisation);
    find_communication(results, f);
    found_.runs.push_back(f);
  }
}

void finder::find_communication(const seed_results& results, run_finding& f) const {
  const auto& c = grid_.settings_of(f.run, f.setting, f.combination, f.budget);
  const auto mean = [&](auto value) { return over_seeds(results, value); };
  f.synchronisations = mean([&](const cell_result& r) { return synchronisations(c, r); });
  f.cost = mean([&](const cell_result& r) { return communication_cost(c, r); });
  f.bytes_a_worker = mean([](const cell_result& r) { return r.bytes_a_worker(); });
  f.epochs = mean([](const cell_result& r) { return r.epochs; });
  f.seconds_an_epoch = mean([](const cell_result& r) { return r.seconds_an_epoch(); });

  std::vector<double> own, others;
  if (f.budget == whole_budget(f.run)) {
    const bool alone = grid_.spec().runs.size() == 1;
    const auto reference = whole_results(alone ? 0 : f.setting, grid_.spec().baselines.front());
    for (const auto& [a, b] : paired(results, reference)) {
      own.push_back(a->seconds_an_epoch());
      others.push_back(b->seconds_an_epoch());
    }
  }
  f.epoch_speed_up = paired_ratio(others, own);
}

void finder::rank(std::size_t setting) {
  std::vector<run_finding*> whole;
  for (auto& f : found_.runs) {
    if (f.setting == setting && f.budget == whole_budget(f.run) && f.final_loss.count > 0) {
      whole.push_back(&f);
    }
  }
  std::stable_sort(whole.begin(), whole.end(), [](const run_finding* a, const run_finding* b) {
    return a->final_loss.mean < b->final_loss.mean;
  });
  for (std::size_t i = 0; i < whole.size(); ++i) whole[i]->rank = i + 1;
}

void finder::find_pair(std::size_t setting, std::size_t run, std::size_t other) {
  const auto pairs = paired(whole_results(setting, run), whole_results(setting, other));
  pair_finding f;
  f.setting = setting;
  f.run = run;
  f.other = other;
  f.pairs = pairs.size();
  std::vector<double> finals, other_finals, accuracies, other_accuracies;
  for (const auto& [a, b] : pairs) {
    finals.push_back(a->final_loss);
    other_finals.push_back(b->final_loss);
    accuracies.push_back(a->diverged ? not_a_number : a->accuracy);
    other_accuracies.push_back(b->diverged ? not_a_number : b->accuracy);
  }
  f.difference = paired_difference(finals, other_finals);
  f.accuracy_difference = paired_difference(accuracies, other_accuracies);
  if (!pairs.empty()) {
    const double worst = std::max(*std::max_element(finals.begin(), finals.end()),
                                  *std::max_element(other_finals.begin(), other_finals.end()));
    f.target = grid_.spec().target;
    if (!f.target && std::isfinite(worst)) f.target = worst;
  }
  if (f.target) {
    const auto cost = [&](double curve_point::*axis) {
      std::vector<double> own, others;
      for (const auto& [a, b] : pairs) {
        const auto x = cost_to_reach(*a, *f.target, axis);
        const auto y = cost_to_reach(*b, *f.target, axis);
        if (!x || !y) continue;
        own.push_back(*x);
        others.push_back(*y);
      }
      f.reached = own.size();
      return cost_finding{estimate_of(own), estimate_of(others), paired_ratio(others, own)};
    };
    f.seconds = cost(&curve_point::seconds);
    f.local_steps = cost(&curve_point::local_steps);
    f.tokens = cost(&curve_point::tokens);
    f.bytes = cost(&curve_point::bytes);
  }
  found_.pairs.push_back(f);
}

void finder::find_budget(std::size_t setting, std::size_t run, std::size_t other) {
  budget_finding f{setting, run, other, std::nullopt, estimate_of({})};
  const auto reference = whole_results(setting, other);
  const auto loss = [](const cell_result& r) { return r.final_loss; };
  const double wanted = over_seeds(reference, loss).mean;
  for (std::size_t budget = 0; budget < grid_.spec().runs[run].budgets.size(); ++budget) {
    const auto results = results_of(group(setting, run), budget);
    if (results.empty() || !(over_seeds(results, loss).mean <= wanted)) continue;
    std::vector<double> own, others;
    for (const auto& [a, b] : paired(results, reference)) {
      own.push_back(a->seconds);
      others.push_back(b->seconds);
    }
    f.budget = budget;
    f.speed_up = paired_ratio(others, own);
    break;
  }
  found_.budgets.push_back(f);
}

void finder::find_tuning(const cell_group& of) {
  if (of.tuning.empty()) return;
  tuning_finding f{of.setting, of.run, of.chosen, {}, {}};
  std::vector<std::vector<double>> losses(grid_.combinations(of.run).size());
  for (const auto& c : of.tuning) {
    if (c.result) losses[c.what.combination].push_back(c.result->final_loss);
  }
  for (const auto& values : losses) f.losses.push_back(estimate_of(values));
  const auto& chosen = grid_.combinations(of.run)[of.chosen];
  const auto& axes = grid_.spec().runs[of.run].tune;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto& values = axes[i].values;
    const auto& value = chosen[i].second;
    if (values.size() > 1 && (value == values.front() || value == values.back())) {
      f.at_edge.push_back(axes[i].key);
    }
  }
  found_.tuning.push_back(std::move(f));
}

/// What the order is of: the accuracy, where there are classes, or else the final loss. A run that
/// diverged is worse than any other.
std::optional<double> finder::quality_of(const cell_result& result) const {
  if (result.diverged) return found_.classifies() ? -infinity : infinity;
  const double quality = found_.classifies() ? result.accuracy : result.final_loss;
  return std::isnan(quality) ? std::nullopt : std::optional(quality);
}

void finder::find_orders(const axis& varied) {
  std::set<double> values;
  for (const auto& text : varied.values) {
    const auto value = number_of(text);
    if (!value) return;
    values.insert(*value);
  }
  if (values.size() < fewest_ordered) return;

  struct pairs {
    override_list rest;
    std::size_t run;
    std::vector<double> x, y;
  };
  std::vector<pairs> all;
  for (std::size_t setting = 0; setting < grid_.settings().size(); ++setting) {
    for (std::size_t run = 0; run < grid_.spec().runs.size(); ++run) {
      auto rest = grid_.varied_for(run, setting);
      const auto own = std::find_if(rest.begin(), rest.end(),
                                    [&](const auto& value) { return value.first == varied.key; });
      if (own == rest.end()) continue;
      const double x = *number_of(own->second);
      rest.erase(own);
      auto found = std::find_if(all.begin(), all.end(),
                                [&](const pairs& p) { return p.run == run && p.rest == rest; });
      if (found == all.end()) found = all.insert(found, {std::move(rest), run, {}, {}});
      // A run that sets another varied key itself is the same in several settings.
      if (std::find(found->x.begin(), found->x.end(), x) != found->x.end()) continue;
      for (const auto& [seed, result] : whole_results(setting, run)) {
        const auto y = quality_of(*result);
        if (!y) continue;
        found->x.push_back(x);
        found->y.push_back(*y);
      }
    }
  }
  for (auto& [rest, run, x, y] : all) {
    found_.orders.push_back({run, varied.key, std::move(rest), rank_correlation(x, y), x.size()});
  }
}

// -- sentences ----------------------------------------------------------------------------------

void finder::note_outcomes() {
  std::size_t diverged = 0, missing = 0;
  for (const auto& f : found_.runs) {
    diverged += f.diverged;
    missing += f.missing;
  }
  if (missing > 0) {
    note(
        fmt::format("{} of the reported cells have no result; means are over the seeds that have "
                    "one, differences over the seeds that both have.",
                    missing));
  }
  std::size_t untried = 0;
  for (const auto& of : outcome_.groups) {
    untried += static_cast<std::size_t>(
        std::count_if(of.tuning.begin(), of.tuning.end(),
                      [](const settled_cell& c) { return !c.result.has_value(); }));
  }
  if (untried > 0) {
    note(
        fmt::format("{} of the cells for tuning have no result; hyper-parameters that need one "
                    "count as the worst.",
                    untried));
  }
  if (diverged > 0) {
    note(
        fmt::format("{} of the reported cells diverged; their loss counts as infinite.", diverged));
  }
  if (grid_.spec().seeds.size() == 1) {
    note("One seed only: there is no spread, so no difference here is more than an observation.");
  }
  if (found_.evaluated_on != "held-out") {
    note("Losses are of data that is trained on, not of held-out data.");
  }
}

void finder::note_starts() {
  for (std::size_t setting = 0; setting < grid_.settings().size(); ++setting) {
    std::map<std::uint64_t, std::pair<std::size_t, double>> starts;  // the first run of each seed
    for (std::size_t run = 0; run < grid_.spec().runs.size(); ++run) {
      for (const auto& c : group(setting, run).reported) {
        if (!c.result) continue;
        const auto loss = c.result->initial_loss;
        const auto [first, is_new] = starts.try_emplace(c.what.seed, run, loss);
        const auto& [other, expected] = first->second;
        if (std::abs(loss - expected) <= same_loss * std::abs(expected)) continue;
        note(
            fmt::format("{}{} and {} did not start alike with seed {} (loss {} and {} before the "
                        "first step): do not compare them.",
                        in_setting(setting), name(other), name(run), c.what.seed, expected, loss));
      }
    }
  }
}

void finder::note_tuning() {
  if (!grid_.spec().tunes()) {
    note(
        "No hyper-parameter was tuned here: the tables compare these settings, not each method at "
        "its best.");
    return;
  }
  for (std::size_t run = 0; run < grid_.spec().runs.size(); ++run) {
    if (grid_.spec().runs[run].fixed) note(name(run) + " was not tuned.");
  }
  std::vector<std::string> at_edge;
  for (const auto& f : found_.tuning) {
    const auto text = fmt::format("{} ({})", name(f.run), fmt::join(f.at_edge, ", "));
    if (f.at_edge.empty() || std::find(at_edge.begin(), at_edge.end(), text) != at_edge.end()) {
      continue;
    }
    at_edge.push_back(text);
  }
  if (at_edge.empty()) return;
  note(
      fmt::format("The best value is at the edge of those tried, so that a better one may lie "
                  "beyond it, for: {}.",
                  fmt::join(at_edge, "; ")));
}

void finder::note_rows() {
  if (const auto& kind = config_of(0, 0).data.kind; kind != "text" && kind != "tokens") return;
  std::vector<std::string_view> missing;
  for (const auto& [role, role_name] : roles_of_language_models) {
    bool found = false;
    for (std::size_t run = 0; run < grid_.spec().runs.size(); ++run) {
      found = found || role_of(config_of(0, run)) == role;
    }
    if (!found) missing.push_back(role_name);
  }
  if (missing.empty()) return;
  note(fmt::format("A full comparison of language-model training has more rows; missing here: {}.",
                   fmt::join(missing, "; ")));
}

void finder::note_conditions() {
  bool jitter = false, transfers = false;
  for (std::size_t setting = 0; setting < grid_.settings().size(); ++setting) {
    const auto& c = config_of(setting, 0);
    const auto positive = [](const std::vector<double>& values) {
      return std::any_of(values.begin(), values.end(), [](double x) { return x > 0.0; });
    };
    jitter = jitter || c.workers.jitter > 0.0;
    transfers =
        transfers || positive(c.network.latency_seconds) || positive(c.network.bandwidth_mbit);
  }
  if (!jitter) note("No setting has jitter (workers.jitter): paces are perfectly steady.");
  if (!transfers) note("No setting has transfer times (network.*): sending is free and instant.");
}

void finder::note_quotas(std::size_t setting) {
  std::optional<std::size_t> sync;
  std::vector<std::size_t> sync_quotas, async;
  for (std::size_t run = 0; run < grid_.spec().runs.size(); ++run) {
    const auto& c = config_of(setting, run);
    const auto role = role_of(c);
    if (role == method_role::sync && !sync) sync = run;
    if (role == method_role::sync_dylu || role == method_role::sync_dylu_tokens) {
      sync_quotas.push_back(run);
    }
    if (c.outer.mode == "async" && role != method_role::single_worker) async.push_back(run);
  }
  if (!sync) return;
  const auto times = [&](const pair_finding& pair) {
    return fmt::format("{:.2f} ± {:.2f} times as fast as {}", pair.seconds.ratio.mean,
                       pair.seconds.ratio.error, name(pair.other));
  };
  for (const auto run : async) {
    const auto& gain = pair_of(setting, run, *sync);
    if (!gain.is_faster()) continue;
    const std::string gained =
        fmt::format("{}{} is {}", in_setting(setting), name(run), times(gain));
    if (gain.is_worse()) {
      note(
          fmt::format("{} on the way to loss {:.4f}, but ends higher by {:.4f} ± {:.4f}: at equal "
                      "local steps that is no gain. Budgets above 1 tell whether more steps make "
                      "up for it.",
                      gained, *gain.target, gain.difference.mean, gain.difference.error));
      continue;
    }
    if (sync_quotas.empty()) {
      note(gained +
           ", but no run is synchronous with DyLU quotas, so it is not known how much of "
           "that the quotas alone would give.");
    }
    for (const auto quotas : sync_quotas) {
      const auto& rest = pair_of(setting, run, quotas);
      const bool more = rest.is_faster() && !rest.is_worse();
      note(fmt::format(
          "{}, and {}, at a final loss {} by {:.4f} ± {:.4f} than that: quotas alone {} "
          "the gain in speed.",
          gained, times(rest), rest.difference.mean > 0.0 ? "higher" : "lower",
          std::abs(rest.difference.mean), rest.difference.error,
          more ? "do not explain" : "explain"));
    }
  }
}

void finder::note_orders() {
  const std::string_view quality = found_.classifies() ? "accuracy" : "final loss";
  std::map<std::pair<std::string, override_list>, std::vector<std::string>> of_runs;
  for (const auto& f : found_.orders) {
    of_runs[{f.key, f.rest}].push_back(
        std::isnan(f.correlation)
            ? fmt::format("{} none", name(f.run))
            : fmt::format("{} {:.2f} ({} cells)", name(f.run), f.correlation, f.cells));
  }
  for (const auto& [what, each] : of_runs) {
    const auto& [key, rest] = what;
    note(
        fmt::format("{}Spearman's rank correlation of {} with the {}, over the cells of all its "
                    "values and seeds: {}. At 1 the {} rises with it throughout, at -1 it falls.",
                    with(describe(rest)), key, quality, fmt::join(each, ", "), quality));
  }
}

findings finder::find() {
  const auto runs = grid_.spec().runs.size();
  for (const auto& of : outcome_.groups) {
    find_run(of);
    find_tuning(of);
  }
  for (std::size_t setting = 0; setting < grid_.settings().size(); ++setting) {
    rank(setting);
    for (std::size_t run = 0; run < runs; ++run) {
      for (std::size_t other = 0; other < runs; ++other) {
        if (other != run) find_pair(setting, run, other);
      }
      if (grid_.spec().runs[run].budgets.size() < 2) continue;
      for (const auto baseline : grid_.spec().baselines) {
        if (baseline != run) find_budget(setting, run, baseline);
      }
    }
  }
  for (const auto& varied : grid_.spec().vary) find_orders(varied);
  note_outcomes();
  note_starts();
  note_orders();
  for (std::size_t setting = 0; setting < grid_.settings().size(); ++setting) note_quotas(setting);
  note_tuning();
  note_rows();
  note_conditions();
  return std::move(found_);
}

}  // namespace

bool pair_finding::is_faster() const {
  return reached > 0 && reached == pairs && seconds.ratio.mean > worth_a_word &&
         seconds.ratio.differs_from(1.0);
}

bool pair_finding::is_worse() const {
  return difference.mean > 0.0 && difference.differs_from(0.0);
}

method_role role_of(const config& c) {
  if (c.workers.count == 1) return method_role::single_worker;
  const bool dylu = c.quota.policy == "dylu";
  if (c.outer.mode == "async") {
    if (c.outer.optimizer != "delayed-nesterov") return method_role::other;
    return dylu ? method_role::delayed_nesterov_dylu : method_role::delayed_nesterov;
  }
  const auto stages = parse_stages(c);
  if (stages.front().data_parallel()) {
    return stages.size() == 1 ? method_role::data_parallel : method_role::other;
  }
  if (c.window.quorum != 0 && c.window.quorum != c.workers.count) return method_role::other;
  if (!dylu) return method_role::sync;
  return c.outer.weighting == "tokens" ? method_role::sync_dylu_tokens : method_role::sync_dylu;
}

double synchronisations(const config& c, const cell_result& result) {
  return c.outer.mode == "sync" ? result.versions
                                : static_cast<double>(result.applied) / result.workers;
}

double communication_cost(const config& c, const cell_result& result) {
  return 2.0 * result.parameters * synchronisations(c, result);
}

findings find(const grid& g, const grid_outcome& outcome) {
  return finder(g, outcome).find();
}

}  // namespace rubato
