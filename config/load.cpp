#include "config/load.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <string_view>
#include <type_traits>

#include "config/error.hpp"
#include "config/rules.hpp"
#include "config/schema.hpp"
#include "config/toml_file.hpp"

namespace rubato {
namespace {

template <class... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw usage_error(fmt::format(format, std::forward<Arguments>(arguments)...));
}

// -- from TOML to values ------------------------------------------------------------------------

// read(): true when the node has the type of `out`, which then holds its value.

template <class Value>
bool read(const toml::node& node, Value& out) {
  const auto value = node.value_exact<Value>();
  if (value) out = *value;
  return value.has_value();
}

bool read(const toml::node& node, double& out) {
  const auto value = node.is_number() ? node.value<double>() : std::nullopt;
  if (value) out = *value;
  return value.has_value();
}

template <class Element>
bool read(const toml::node& node, std::vector<Element>& out) {
  const auto* array = node.as_array();
  if (!array) return false;
  out.resize(array->size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!read((*array)[i], out[i])) return false;
  }
  return true;
}

// A string stands for a list of one.
bool read(const toml::node& node, std::vector<std::string>& out) {
  if (!node.is_string()) return read<std::string>(node, out);
  out = {*node.value_exact<std::string>()};
  return true;
}

// And so it does within a list.
bool read(const toml::node& node, std::vector<std::vector<std::string>>& out) {
  const auto* array = node.as_array();
  if (!array) return false;
  out.resize(array->size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto& entry = (*array)[i];
    if (entry.is_string() ? !read(entry, out[i].emplace_back()) : !read(entry, out[i])) {
      return false;
    }
  }
  return true;
}

/// The node as a value of the key's type, unless it has another.
std::optional<key_value> value_for(const key_spec& spec, const toml::node& node) {
  return std::visit(
      [&](const auto& example) -> std::optional<key_value> {
        std::remove_cvref_t<decltype(example)> value{};
        if (!read(node, value)) return std::nullopt;
        return value;
      },
      spec.default_value());
}

/// The node as text on one line, for messages.
std::string show(const toml::node& node) {
  constexpr std::size_t limit = 80;
  auto text = to_text(node);
  if (text.size() <= limit) return text;
  auto end = limit;
  while (end > 0 && (text[end] & 0xc0) == 0x80) --end;  // not within a UTF-8 character
  return text.substr(0, end) + "...";
}

/// The TOML value that `text` is, in a table of one; empty if it is not exactly one value.
std::optional<toml::table> parse_value(const std::string& text) {
  try {
    auto table = toml::parse("value = " + text);
    if (table.size() == 1) return table;
  } catch (const toml::parse_error&) {
  }
  return std::nullopt;
}

// -- unknown names ------------------------------------------------------------------------------

using name_list = std::vector<std::string_view>;

/// Levenshtein's distance: the fewest insertions, deletions and replacements from a to b.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// The candidates closest to `name`, unless even they are more than a slip away.
name_list nearest(std::string_view name, const name_list& candidates) {
  std::size_t best = 2;
  name_list found;
  for (const auto candidate : candidates) {
    const auto distance = edit_distance(name, candidate);
    if (distance < best) found.clear();
    if (distance <= best) found.push_back(candidate);
    best = std::min(best, distance);
  }
  return found;
}

name_list section_names() {
  name_list names;
  for (const auto& spec : keys()) {
    if (names.empty() || names.back() != spec.section()) names.push_back(spec.section());
  }
  return names;
}

bool is_section(std::string_view name) {
  const auto names = section_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string suggest_section(std::string_view name) {
  const auto close = nearest(name, section_names());
  if (close.empty()) return fmt::format("the sections are {}", fmt::join(section_names(), ", "));
  return fmt::format("did you mean [{}]?", fmt::join(close, "] or ["));
}

/// What `name` may have been meant to be: a key that is spelt nearly so, or the key of that name in
/// another section; failing these, what there is to choose from.
std::string suggest_key(std::string_view name) {
  const auto dot = name.find('.');
  const auto section = name.substr(0, dot);
  const auto key = dot == std::string_view::npos ? name : name.substr(dot + 1);
  name_list all, same_key, same_section;
  for (const auto& spec : keys()) {
    all.push_back(spec.name);
    if (spec.key() == key) same_key.push_back(spec.name);
    if (spec.section() == section) same_section.push_back(spec.key());
  }
  auto likely = nearest(name, all);
  if (likely.empty()) likely = same_key;
  if (!likely.empty()) return fmt::format("did you mean {}?", fmt::join(likely, " or "));
  if (same_section.empty()) return suggest_section(section);
  return fmt::format("the keys of [{}] are {}", section, fmt::join(same_section, ", "));
}

// -- the loader ---------------------------------------------------------------------------------

/// A config in the making, which remembers who set what.
class loader {
 public:
  /// `comparison`: a [compare] table in the file is somebody else's.
  void read_file(const std::string& path, bool comparison);
  void apply(const config_layer& layer);
  /// Checks what only the whole can show.
  config finish(std::vector<std::string>* notes);
  /// What was set of scope node.
  node_settings of_this_node() const;

 private:
  void set(const std::string& name, const toml::node& node, const std::string& where);
  void end_layer(const std::string& source);
  void settle_unused(std::vector<std::string>* notes);
  void check_contradictions() const;
  bool is_set(std::string_view name) const { return set_by_.find(name) != set_by_.end(); }
  std::string source(std::string_view name) const;
  std::string setting(std::string_view name) const;

  struct origin {
    std::string where;    // "file:line" or a layer's source
    std::size_t layer;    // that set it, from 0
    bool of_use = false;  // in that layer
  };

  config config_;
  std::vector<std::string> layers_;  // paths of files and sources of settings, so far
  std::map<std::string, origin, std::less<>> set_by_;
};

/// Where a key's value comes from, for messages.
std::string loader::source(std::string_view name) const {
  const auto found = set_by_.find(name);
  return found == set_by_.end() ? "the default" : found->second.where;
}

std::string loader::setting(std::string_view name) const {
  return fmt::format("{} = {}", name, to_text(find_key(name)->member.get(config_)));
}

void loader::set(const std::string& name, const toml::node& node, const std::string& where) {
  const auto* spec = find_key(name);
  if (!spec) {
    if (is_section(name)) fail("{}: {} is a section: its keys are {}.<key>", where, name, name);
    if (node.is_table()) fail("{}: unknown section [{}]; {}", where, name, suggest_section(name));
    fail("{}: unknown key {} = {}; {}", where, name, show(node), suggest_key(name));
  }
  const auto value = value_for(*spec, node);
  if (!value || !allows(*spec, *value)) {
    fail("{}: {} = {} must be {}", where, name, show(node), allowed_values(*spec));
  }
  spec->member.set(config_, *value);
  set_by_[name] = {where, layers_.size()};
}

/// Only with the whole layer it can be told which of its keys are of use.
void loader::end_layer(const std::string& source) {
  for (auto& [name, from] : set_by_) {
    if (from.layer == layers_.size()) from.of_use = in_use(*find_key(name), config_);
  }
  layers_.push_back(source);
}

void loader::read_file(const std::string& path, bool comparison) {
  const auto file = read_toml(path);
  // In the order of the file, so that the first mistake is reported first.
  std::vector<std::pair<std::string, const toml::node*>> entries;
  for (const auto& [name, node] : file) {
    const std::string section(name.str());
    const auto* table = node.as_table();
    if (section == "compare") {
      if (comparison) continue;
      fail("{}: [compare] makes this a comparison of several runs: `rubato compare {}`",
           place_of(node, path), path);
    }
    if (table && is_section(section)) {
      for (const auto& [key, value] : *table) {
        entries.emplace_back(fmt::format("{}.{}", section, key.str()), &value);
      }
    } else {
      entries.emplace_back(section, &node);
    }
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.second->source().begin < b.second->source().begin;
  });
  for (const auto& [name, node] : entries) {
    set(name, *node, place_of(*node, path));
  }
  end_layer(path);
}

void loader::apply(const config_layer& layer) {
  for (const auto& [name, text] : layer.settings) {
    const auto* spec = find_key(name);
    const bool takes_string = spec && std::holds_alternative<std::string>(spec->default_value());
    auto parsed = parse_value(text);
    if (!parsed || (takes_string && !parsed->get("value")->is_string())) {
      parsed = parse_value(to_text(text));  // a bare string
    }
    if (!parsed) fail("{}: {} must be valid UTF-8", layer.source, name);
    set(name, *parsed->get("value"), layer.source);
  }
  end_layer(layer.source);
}

void loader::settle_unused(std::vector<std::string>* notes) {
  for (const auto& spec : keys()) {
    const auto* clause = failing_clause(spec, config_);
    if (!is_set(spec.name) || !clause) continue;
    const auto where = source(spec.name);
    const bool was_of_use = set_by_.find(spec.name)->second.of_use;
    std::vector<std::string> decided_by;
    for (const auto& test : *clause) {
      decided_by.push_back(fmt::format("{} ({})", setting(test.key), source(test.key)));
    }
    const auto reason = fmt::format("is not used with {}", fmt::join(decided_by, " and "));
    if (!was_of_use) {
      fail("{}: {} {}; it needs {}", where, setting(spec.name), reason,
           to_text(key_condition{*clause}));
    }
    if (notes) notes->push_back(fmt::format("{} from {} {}", setting(spec.name), where, reason));
    spec.member.set(config_, spec.default_value());
    set_by_.erase(set_by_.find(spec.name));
  }
}

void loader::check_contradictions() const {
  const auto found = find_contradiction(config_);
  if (!found) return;
  std::vector<std::string> places, defaults;
  for (const auto key : found->keys) {
    const auto where = source(key);
    if (!is_set(key)) {
      defaults.emplace_back(key);
    } else if (std::find(places.begin(), places.end(), where) == places.end()) {
      places.push_back(where);
    }
  }
  if (places.empty()) fail("{}: {}", layers_.front(), found->message);
  const auto remark =
      defaults.empty() ? "" : fmt::format(" ({} by default)", fmt::join(defaults, ", "));
  fail("{}: {}{}", fmt::join(places, ", "), found->message, remark);
}

config loader::finish(std::vector<std::string>* notes) {
  settle_unused(notes);
  check_contradictions();
  return config_;
}

node_settings loader::of_this_node() const {
  node_settings result;
  for (const auto& spec : keys()) {
    if (!is_set(spec.name)) continue;
    if (spec.scope == key_scope::run) {
      result.passed_over += 1;
      continue;
    }
    const auto value = spec.member.get(config_);
    spec.member.set(result.own, value);
    result.values.emplace_back(spec.name, to_text(value));
  }
  return result;
}

}  // namespace

config load_config(const std::string& path, const override_list& overrides,
                   std::vector<std::string>* notes) {
  layered_config layers{.layers = {{.settings = overrides}}};
  if (!path.empty()) layers.paths.push_back(path);
  return load_config(layers, notes);
}

config load_config(const layered_config& from, std::vector<std::string>* notes) {
  loader reading;
  for (const auto& path : from.paths) reading.read_file(path, from.comparison);
  for (const auto& layer : from.layers) reading.apply(layer);
  return reading.finish(notes);
}

node_settings load_node_settings(const std::vector<std::string>& paths,
                                 const override_list& overrides) {
  loader reading;
  for (const auto& path : paths) reading.read_file(path, false);
  for (const auto& [name, text] : overrides) {
    const auto* spec = find_key(name);
    if (!spec || spec->scope == key_scope::node) continue;
    fail("command line: {} is a setting of the whole run, which the server's config decides", name);
  }
  reading.apply({.settings = overrides});
  return reading.of_this_node();
}

override_list run_settings(const config& c) {
  override_list result;
  for (const auto& spec : keys()) {
    if (spec.scope != key_scope::run || !in_use(spec, c)) continue;
    result.emplace_back(spec.name, to_text(spec.member.get(c)));
  }
  return result;
}

std::string to_toml(const config& c) {
  std::string text;
  std::string_view section;
  for (const auto& spec : keys()) {
    if (!in_use(spec, c)) continue;
    if (spec.section() != section) {
      section = spec.section();
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    text += fmt::format("{} = {}\n", spec.key(), to_text(spec.member.get(c)));
  }
  return text;
}

}  // namespace rubato
