#include "compare/spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "config/error.hpp"
#include "config/schema.hpp"
#include "config/toml_file.hpp"

namespace rubato {
namespace {

constexpr std::string_view keys_of_compare =
    "seeds, tuning_seeds, directory, baseline, parallel, target, vary and run";
constexpr std::string_view keys_of_run = "name, set, tune, fixed and budgets";

template <class... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw usage_error(fmt::format(format, std::forward<Arguments>(arguments)...));
}

template <class Value>
bool repeats(std::vector<Value> values) {
  std::sort(values.begin(), values.end());
  return std::adjacent_find(values.begin(), values.end()) != values.end();
}

/// The entries of a table in the order of the file; tables in it are followed, so that
/// `outer.lr = 1` and `"outer.lr" = 1` are the same.
using entry = std::pair<std::string, const toml::node*>;

void collect(const toml::table& table, const std::string& prefix, std::vector<entry>& out) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    if (const auto* inner = node.as_table()) {
      collect(*inner, key + '.', out);
    } else {
      out.emplace_back(key, &node);
    }
  }
}

std::vector<entry> entries_of(const toml::table& table) {
  std::vector<entry> entries;
  collect(table, "", entries);
  std::stable_sort(entries.begin(), entries.end(), [](const entry& a, const entry& b) {
    return a.second->source().begin < b.second->source().begin;
  });
  return entries;
}

class reader {
 public:
  explicit reader(const std::vector<std::string>& paths) { spec_.paths = paths; }
  comparison_spec read();

 private:
  toml::table find_file();
  std::string default_directory() const;
  void read_key(const std::string& key, const toml::node& node);
  void read_run(const toml::node& node);
  void read_run_key(compared_run& run, const std::string& key, const toml::node& node);
  void check_tuning() const;
  void find_baselines();

  [[noreturn]] void refuse(const std::string& key, const toml::node& node,
                           std::string_view allowed) const {
    fail("{}: {} = {} must be {}", place_of(node, spec_.path), key, to_text(node), allowed);
  }
  std::vector<std::uint64_t> seeds(const std::string& key, const toml::node& node) const;
  std::vector<axis> axes(const std::string& key, const toml::node& node) const;

  comparison_spec spec_;
  std::string compare_place_;
  std::vector<std::string> baseline_names_;
  std::string baseline_place_;
};

std::vector<std::uint64_t> reader::seeds(const std::string& key, const toml::node& node) const {
  constexpr std::string_view allowed =
      "a list of whole numbers from 0, at least one and none of them twice";
  const auto* array = node.as_array();
  if (!array || array->empty()) refuse(key, node, allowed);
  std::vector<std::uint64_t> values;
  for (const auto& element : *array) {
    const auto value = element.value_exact<std::int64_t>();
    if (!value || *value < 0) refuse(key, node, allowed);
    values.push_back(static_cast<std::uint64_t>(*value));
  }
  if (repeats(values)) refuse(key, node, allowed);
  return values;
}

std::vector<axis> reader::axes(const std::string& key, const toml::node& node) const {
  const auto* table = node.as_table();
  if (!table || table->empty()) {
    refuse(key, node, "a table of config keys, each with the list of values that it takes");
  }
  std::vector<axis> result;
  for (const auto& [name, value] : entries_of(*table)) {
    const auto* array = value->as_array();
    axis a{name, {}};
    if (array) {
      for (const auto& element : *array) a.values.push_back(to_text(element));
    }
    if (a.values.empty() || repeats(a.values)) {
      refuse(key + '.' + name, *value, "a list of values, at least one and none of them twice");
    }
    result.push_back(std::move(a));
  }
  return result;
}

void reader::read_run_key(compared_run& run, const std::string& key, const toml::node& node) {
  const std::string full = "compare.run." + key;
  if (key == "name") {
    const auto* name = node.as_string();
    if (!name || name->get().empty()) refuse(full, node, "a text that is not empty");
    run.name = name->get();
  } else if (key == "set") {
    const auto* table = node.as_table();
    if (!table) refuse(full, node, "a table of config keys and values");
    for (const auto& [name, value] : entries_of(*table))
      run.set.emplace_back(name, to_text(*value));
  } else if (key == "tune") {
    run.tune = axes(full, node);
  } else if (key == "fixed") {
    const auto* flag = node.as_boolean();
    if (!flag) refuse(full, node, "true or false");
    run.fixed = flag->get();
  } else if (key == "budgets") {
    constexpr std::string_view allowed =
        "a list of numbers above 0, 1 among them and none of them twice";
    const auto* array = node.as_array();
    if (!array) refuse(full, node, allowed);
    run.budgets.clear();
    for (const auto& element : *array) {
      const auto value = element.is_number() ? element.value<double>() : std::nullopt;
      if (!value || !(*value > 0.0) || !std::isfinite(*value)) refuse(full, node, allowed);
      run.budgets.push_back(*value);
    }
    std::sort(run.budgets.begin(), run.budgets.end());
    if (repeats(run.budgets) ||
        std::find(run.budgets.begin(), run.budgets.end(), 1.0) == run.budgets.end()) {
      refuse(full, node, allowed);
    }
  } else {
    fail("{}: unknown key {} in a [[compare.run]]; there are {}", place_of(node, spec_.path), key,
         keys_of_run);
  }
}

void reader::read_run(const toml::node& node) {
  const auto* table = node.as_table();
  if (!table) refuse("compare.run", node, "a table for each run: [[compare.run]]");
  compared_run run;
  run.place = place_of(node, spec_.path);
  for (const auto& [key, value] : *table) read_run_key(run, std::string(key.str()), value);
  if (run.name.empty()) fail("{}: a [[compare.run]] needs a name", run.place);
  for (const auto& other : spec_.runs) {
    if (other.name == run.name) {
      fail("{}: two runs are called {} (the other is at {})", run.place,
           to_text(key_value(run.name)), other.place);
    }
  }
  if (run.fixed && !run.tune.empty()) {
    fail("{}: run {} has both tune and fixed = true; it can only have one of them", run.place,
         to_text(key_value(run.name)));
  }
  spec_.runs.push_back(std::move(run));
}

void reader::read_key(const std::string& key, const toml::node& node) {
  const std::string full = "compare." + key;
  if (key == "seeds") {
    spec_.seeds = seeds(full, node);
  } else if (key == "tuning_seeds") {
    spec_.tuning_seeds = seeds(full, node);
  } else if (key == "directory") {
    const auto* text = node.as_string();
    if (!text || text->get().empty()) refuse(full, node, "the path of a folder");
    spec_.directory = text->get();
  } else if (key == "baseline") {
    const auto* names = node.as_array();
    const auto add = [&](const toml::node& name) {
      const auto* text = name.as_string();
      if (!text) refuse(full, node, "the name of a run, or a list of names");
      baseline_names_.push_back(text->get());
    };
    if (!names) {
      add(node);
    } else {
      for (const auto& name : *names) add(name);
    }
    if (baseline_names_.empty() || repeats(baseline_names_)) {
      refuse(full, node, "the name of a run, or a list of names, none of them twice");
    }
    baseline_place_ = place_of(node, spec_.path);
  } else if (key == "parallel") {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 0 || *value > 1024) refuse(full, node, "a whole number from 0 to 1024");
    spec_.parallel = *value;
  } else if (key == "target") {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !(*value > 0.0) || !std::isfinite(*value)) refuse(full, node, "a loss above 0");
    spec_.target = *value;
  } else if (key == "vary") {
    spec_.vary = axes(full, node);
  } else if (key == "run") {
    const auto* array = node.as_array();
    if (!array) refuse(full, node, "a table for each run: [[compare.run]]");
    for (const auto& run : *array) read_run(run);
  } else {
    fail("{}: unknown key {} in [compare]; there are {}", place_of(node, spec_.path), key,
         keys_of_compare);
  }
}

void reader::find_baselines() {
  if (baseline_names_.empty()) spec_.baselines = {0};
  for (const auto& name : baseline_names_) {
    const auto found = std::find_if(spec_.runs.begin(), spec_.runs.end(),
                                    [&](const compared_run& run) { return run.name == name; });
    if (found == spec_.runs.end()) {
      std::string names;
      for (const auto& run : spec_.runs) {
        names += (names.empty() ? "" : ", ") + to_text(key_value(run.name));
      }
      fail("{}: compare.baseline names {}, which is no run; there are {}", baseline_place_,
           to_text(key_value(name)), names);
    }
    spec_.baselines.push_back(static_cast<std::size_t>(found - spec_.runs.begin()));
  }
}

void reader::check_tuning() const {
  if (!spec_.tunes()) {
    if (!spec_.tuning_seeds.empty()) {
      fail("{}: compare.tuning_seeds is of no use: no run has hyper-parameters to tune",
           compare_place_);
    }
    for (const auto& run : spec_.runs) {
      if (!run.fixed) continue;
      fail("{}: run {} has fixed = true, which is of no use: no run is tuned", run.place,
           to_text(key_value(run.name)));
    }
    return;
  }
  if (spec_.tuning_seeds.empty()) {
    fail("{}: compare.tuning_seeds is missing: hyper-parameters are chosen with seeds of their own",
         compare_place_);
  }
  for (const auto seed : spec_.tuning_seeds) {
    if (std::find(spec_.seeds.begin(), spec_.seeds.end(), seed) == spec_.seeds.end()) continue;
    fail(
        "{}: seed {} is both in compare.seeds and in compare.tuning_seeds; results must be from "
        "seeds that nothing was chosen with",
        compare_place_, seed);
  }
  const compared_run* first = nullptr;
  for (const auto& run : spec_.runs) {
    if (run.fixed) continue;
    if (!first) first = &run;
    const auto size = [](const compared_run& r) {
      return r.tune.empty() ? std::size_t{0} : product(r.tune).size();
    };
    if (size(run) == size(*first)) continue;
    fail(
        "{}: run {} tunes over {} combinations, but {} ({}) over {}; each must try as many, or "
        "have fixed = true to be shown as not tuned",
        run.place, to_text(key_value(run.name)), size(run), to_text(key_value(first->name)),
        first->place, size(*first));
  }
}

/// The file with the [compare] table; sets spec_.path to it.
toml::table reader::find_file() {
  std::optional<toml::table> found;
  for (const auto& path : spec_.paths) {
    auto file = read_toml(path);
    if (!file.contains("compare")) continue;
    if (found) {
      fail("{}: [compare] is in {} too; only one of the files can have it", path, spec_.path);
    }
    found = std::move(file);
    spec_.path = path;
  }
  if (!found) {
    fail("{}: has no [compare] table; `rubato train` takes the config of one run",
         fmt::join(spec_.paths, ", "));
  }
  return std::move(*found);
}

/// "runs/compare-small-figure-2" for small.toml and figure-2.toml.
std::string reader::default_directory() const {
  std::string name = "runs/compare";
  for (const auto& path : spec_.paths) name += '-' + std::filesystem::path(path).stem().string();
  return name;
}

comparison_spec reader::read() {
  const toml::table file = find_file();
  const auto* node = file.get("compare");
  const auto* table = node->as_table();
  if (!table) refuse("compare", *node, "a table");
  compare_place_ = place_of(*node, spec_.path);
  for (const auto& [key, value] : *table) read_key(std::string(key.str()), value);
  if (spec_.runs.empty()) {
    fail("{}: there is nothing to compare: [compare] has no [[compare.run]]", compare_place_);
  }
  if (spec_.directory.empty()) spec_.directory = default_directory();
  find_baselines();
  check_tuning();
  return std::move(spec_);
}

}  // namespace

std::vector<override_list> product(const std::vector<axis>& axes) {
  std::vector<override_list> all(1);
  for (const auto& a : axes) {
    std::vector<override_list> longer;
    for (const auto& settings : all) {
      for (const auto& value : a.values) {
        longer.push_back(settings);
        longer.back().emplace_back(a.key, value);
      }
    }
    all = std::move(longer);
  }
  return all;
}

std::size_t compared_run::whole_budget() const {
  return static_cast<std::size_t>(std::find(budgets.begin(), budgets.end(), 1.0) - budgets.begin());
}

bool comparison_spec::tunes() const {
  return std::any_of(runs.begin(), runs.end(),
                     [](const compared_run& run) { return !run.tune.empty(); });
}

comparison_spec read_comparison(const std::vector<std::string>& paths) {
  return reader(paths).read();
}

}  // namespace rubato
