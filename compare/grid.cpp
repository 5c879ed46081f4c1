#include "compare/grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <string_view>
#include <utility>

#include "config/error.hpp"
#include "config/schema.hpp"

namespace rubato {
namespace {

constexpr std::size_t longest_slug = 40;

// A method is what workers and server do. Everything else must be the same for all runs.
constexpr std::array<std::string_view, 7> sections_of_a_method = {
    "inner", "outer", "staleness", "quota", "window", "network", "workers"};
constexpr std::string_view method_key_elsewhere = "data.shard_sampling";
constexpr std::array<std::string_view, 2> same_for_all = {"inner.precision",
                                                          "workers.threads_per_lane"};
// These are the comparison's own business.
constexpr std::array<std::string_view, 5> kept_keys = {"run.seed", "run.directory", "run.name",
                                                       "run.threads", "evaluate.half"};

template <std::size_t size>
bool contains(const std::array<std::string_view, size>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string quoted(const std::string& text) {
  return to_text(key_value(text));
}

void check_own_key(const std::string& key, const std::string& where) {
  const std::string_view section = std::string_view(key).substr(0, key.find('.'));
  const auto* spec = find_key(key);
  if (!spec || key == method_key_elsewhere) return;  // the loader has the words for an unknown key
  if (contains(sections_of_a_method, section) && !contains(same_for_all, key)) return;
  const char* instead = key == "run.local_steps" ? "use budgets for more or fewer steps"
                                                 : "set it for all runs, or vary it";
  throw usage_error(fmt::format(
      "{}: {} must be the same for all runs of a comparison; {}", where, key,
      contains(kept_keys, key) ? "the comparison sets it itself, see [compare]" : instead));
}

void check_varied_key(const std::string& key, const std::string& where) {
  if (!contains(kept_keys, key)) return;
  throw usage_error(fmt::format(
      "{}: compare.vary cannot have {}: the comparison sets it itself, see [compare]", where, key));
}

/// Lower case, with one dash for all that is not a letter or a digit.
std::string slug(std::string_view text) {
  std::string result;
  for (const unsigned char c : text) {
    if (std::isalnum(c) && c < 0x80) {
      result += static_cast<char>(std::tolower(c));
    } else if (!result.empty() && result.back() != '-') {
      result += '-';
    }
  }
  result.resize(std::min(result.size(), longest_slug));
  while (!result.empty() && result.back() == '-') result.pop_back();
  return result;
}

/// FNV-1a.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char c : text) hash = (hash ^ c) * 0x100000001b3;
  return hash;
}

/// Roughly the multiplications of a run, to tell long cells from short ones.
double work_of(const config& c) {
  const auto width = static_cast<double>(c.model.width);
  const auto steps = static_cast<double>(c.run.local_steps * c.data.batch_size);
  if (c.model.kind != "transformer") return steps * width * static_cast<double>(c.data.dimension);
  return steps * static_cast<double>(c.model.sequence_length * c.model.layers) * width * width;
}

}  // namespace

config grid::effective_config(layered_config layers, double budget) const {
  const config whole = load_config(layers);
  if (!whole.run.directory.empty()) {
    throw usage_error(
        fmt::format("{}: run.directory = {} cannot be kept: every run of a comparison has a folder "
                    "of its own, in that of compare.directory",
                    spec_.path, quoted(whole.run.directory)));
  }
  if (whole.clock.mode != "virtual") {
    throw usage_error(
        fmt::format("{}: clock.mode = {} cannot be compared: runs side by side would slow each "
                    "other down; a comparison needs \"virtual\"",
                    spec_.path, quoted(whole.clock.mode)));
  }
  auto& own = layers.layers.back().settings;
  if (spec_.tunes()) {
    const bool held_out = whole.evaluate.on == "held-out";
    if (!held_out || whole.evaluate.half != "all") {
      throw usage_error(fmt::format(
          "{}: evaluate.{} = {} cannot be kept: hyper-parameters are tuned on half \"a\" of the "
          "held-out data and results are from half \"b\"",
          spec_.path, held_out ? "half" : "on",
          quoted(held_out ? whole.evaluate.half : whole.evaluate.on)));
    }
    own.emplace_back("evaluate.half", "\"b\"");
  }
  const auto steps = std::llround(static_cast<double>(whole.run.local_steps) * budget);
  own.emplace_back("run.local_steps", std::to_string(steps));
  config c = load_config(layers);
  c.checkpoint.every_versions = 0;  // a cell that was cut off starts afresh
  c.journal.enabled = false;
  // Where the CPU would choose, results would depend on it.
  if (c.inner.precision == "auto") c.inner.precision = "f32";
  return c;
}

std::string describe(const override_list& settings) {
  std::string text;
  for (const auto& [key, value] : settings) {
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", key, value);
  }
  return text;
}

grid::grid(comparison_spec spec, const override_list& overrides, std::string version)
    : spec_(std::move(spec)), version_(std::move(version)) {
  for (const auto& a : spec_.vary) check_varied_key(a.key, spec_.path);
  for (auto& values : product(spec_.vary)) settings_.push_back({values, describe(values)});

  for (const auto& run : spec_.runs) {
    const std::string where = fmt::format("{} (run {})", run.place, quoted(run.name));
    for (const auto& [key, value] : run.set) check_own_key(key, where);
    for (const auto& a : run.tune) {
      check_own_key(a.key, where);
      const bool is_set = std::any_of(run.set.begin(), run.set.end(),
                                      [&](const auto& setting) { return setting.first == a.key; });
      const bool varies = std::any_of(spec_.vary.begin(), spec_.vary.end(),
                                      [&](const axis& other) { return other.key == a.key; });
      if (!is_set && !varies) continue;
      throw usage_error(fmt::format("{}: {} cannot be both in {} and in tune", where, a.key,
                                    is_set ? "set" : "[compare.vary]"));
    }
    first_.push_back(configs_.size());
    combinations_.push_back(product(run.tune));
    for (const auto& s : settings_) {
      for (const auto& tuned : combinations_.back()) {
        for (const double budget : run.budgets) {
          layered_config layers{.paths = spec_.paths, .comparison = true};
          layers.layers.push_back({.settings = overrides});
          // Under the run's own settings, which may put out of use what is varied.
          layers.layers.push_back({.settings = s.values, .source = where + ", [compare.vary]"});
          config_layer own{.settings = run.set, .source = where};
          own.settings.insert(own.settings.end(), tuned.begin(), tuned.end());
          layers.layers.push_back(std::move(own));
          configs_.push_back(effective_config(std::move(layers), budget));
        }
      }
    }
  }
}

override_list grid::varied_for(std::size_t run, std::size_t setting) const {
  const auto& set = spec_.runs[run].set;
  const config& effective = settings_of(run, setting, 0, 0);
  override_list varied;
  for (const auto& value : settings_[setting].values) {
    const bool is_set = std::any_of(set.begin(), set.end(),
                                    [&](const auto& own) { return own.first == value.first; });
    if (!is_set && in_use(*find_key(value.first), effective)) varied.push_back(value);
  }
  return varied;
}

std::size_t grid::index(std::size_t run, std::size_t setting, std::size_t combination,
                        std::size_t budget) const {
  const auto combinations = combinations_[run].size();
  const auto budgets = spec_.runs[run].budgets.size();
  return first_[run] + (setting * combinations + combination) * budgets + budget;
}

const config& grid::settings_of(std::size_t run, std::size_t setting, std::size_t combination,
                                std::size_t budget) const {
  return configs_[index(run, setting, combination, budget)];
}

cell grid::make_cell(std::size_t run, std::size_t setting, std::size_t combination,
                     std::size_t budget, std::uint64_t seed, bool tuning) const {
  cell made{run, setting, combination, budget, seed, tuning, {}, {}, 0.0};
  config c = settings_of(run, setting, combination, budget);
  if (tuning) c.evaluate.half = std::string("a");
  made.work = work_of(c);
  c.run.seed = static_cast<std::int64_t>(seed);
  c.run.name = std::string("cell");
  c.run.threads = 0;
  c.monitor.listen = "";
  made.identity = fmt::format("# A run of a comparison, by rubato {}.\n{}", version_, to_toml(c));
  made.name =
      fmt::format("{}-seed{}-{:016x}", slug(spec_.runs[run].name), seed, hash_of(made.identity));
  return made;
}

std::vector<cell> grid::tuning_cells(std::size_t run, std::size_t setting) const {
  std::vector<cell> cells;
  const auto& entry = spec_.runs[run];
  if (entry.tune.empty()) return cells;
  for (std::size_t combination = 0; combination < combinations_[run].size(); ++combination) {
    for (const auto seed : spec_.tuning_seeds) {
      cells.push_back(make_cell(run, setting, combination, entry.whole_budget(), seed, true));
    }
  }
  return cells;
}

std::vector<cell> grid::reported_cells(std::size_t run, std::size_t setting,
                                       std::size_t combination) const {
  std::vector<cell> cells;
  for (std::size_t budget = 0; budget < spec_.runs[run].budgets.size(); ++budget) {
    for (const auto seed : spec_.seeds) {
      cells.push_back(make_cell(run, setting, combination, budget, seed, false));
    }
  }
  return cells;
}

std::size_t grid::size() const {
  std::size_t cells = 0;
  for (const auto& run : spec_.runs) {
    cells += run.budgets.size() * spec_.seeds.size();
    if (!run.tune.empty()) cells += product(run.tune).size() * spec_.tuning_seeds.size();
  }
  return cells * settings_.size();
}

std::string method_text(const grid& g, const cell& c) {
  const auto& run = g.spec().runs[c.run];
  const std::string label = describe(g.varied_for(c.run, c.setting));
  std::string text = run.name;
  if (!label.empty()) text += ", " + label;
  if (run.budgets[c.budget] != 1.0) text += fmt::format(", budget {:g}", run.budgets[c.budget]);
  return text;
}

std::string cell_text(const grid& g, const cell& c) {
  const auto tuned = describe(g.combinations(c.run)[c.combination]);
  return fmt::format("{}{}{}, {}seed {}", method_text(g, c), tuned.empty() ? "" : ", ", tuned,
                     c.tuning ? "tuning " : "", c.seed);
}

}  // namespace rubato
