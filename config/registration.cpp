#include "config/registration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <set>
#include <stdexcept>

namespace rubato {
namespace {

/// A key's texts are views, so somebody has to keep them.
std::string_view keep(std::string text) {
  static std::deque<std::string> kept;
  return kept.emplace_back(std::move(text));
}

/// The versions of all choices that were added, by "key" and "name".
std::map<std::pair<std::string, std::string>, std::string>& added() {
  static std::map<std::pair<std::string, std::string>, std::string> all;
  return all;
}

[[noreturn]] void refuse(std::string_view key, const own_choice& choice, std::string_view why) {
  throw std::invalid_argument(
      fmt::format("{} = \"{}\" cannot be registered: {}", key, choice.name, why));
}

void check(std::string_view key, const own_choice& choice) {
  const auto* spec = find_key(key);
  if (spec == nullptr || spec->choices.empty()) refuse(key, choice, "that key has no choices");
  if (choice.name.empty()) refuse(key, choice, "it has no name");
  if (std::find(spec->choices.begin(), spec->choices.end(), choice.name) != spec->choices.end()) {
    refuse(key, choice, "there is one of that name");
  }
  std::set<std::string_view> names;
  for (const auto& own : choice.keys) {
    const auto is_neighbour = [section = own.name.substr(0, own.name.find('.'))](const auto& s) {
      return s.section() == section;
    };
    if (own.name.find('.') == std::string::npos ||
        std::none_of(keys().begin(), keys().end(), is_neighbour)) {
      refuse(key, choice, fmt::format("its key {} is in no section that there is", own.name));
    }
    if (find_key(own.name) != nullptr || !names.insert(own.name).second) {
      refuse(key, choice, fmt::format("there is a key {} already", own.name));
    }
  }
  for (const auto& used : choice.uses) {
    if (find_key(used) == nullptr) refuse(key, choice, fmt::format("there is no key {}", used));
  }
}

/// Where `config` keeps a key that it has no member for.
key_member own_member(const std::string& name, const key_value& default_value) {
  return {.get =
              [name, default_value](const config& c) {
                const auto found = c.own.find(name);
                return found == c.own.end() ? default_value : found->second;
              },
          .set = [name](config& c, const key_value& value) { c.own[name] = value; }};
}

void declare(const own_key& own, const key_condition& used_when) {
  auto& all = keys_to_extend();
  const key_spec spec{.name = keep(own.name),
                      .member = own_member(own.name, own.default_value),
                      .range = own.range,
                      .used_when = used_when,
                      .help = keep(own.help)};
  const auto last = std::find_if(all.rbegin(), all.rend(),
                                 [&](const auto& s) { return s.section() == spec.section(); });
  all.insert(last.base(), spec);
}

/// Lets a key be used with one more value of `key`, if that is what it depends on.
void use_with(key_spec& used, std::string_view key, std::string_view name) {
  for (auto& clause : used.used_when) {
    for (auto& test : clause) {
      if (test.key == key) test.values.push_back(name);
    }
  }
}

}  // namespace

void add_choice(std::string_view key, const own_choice& choice) {
  check(key, choice);
  auto& all = keys_to_extend();
  const auto named = [&](std::string_view name) -> key_spec& {
    return *std::find_if(all.begin(), all.end(), [&](const auto& s) { return s.name == name; });
  };
  const auto name = keep(choice.name);
  auto& spec = named(key);
  const auto key_name = spec.name;
  spec.choices.push_back(name);
  if (!choice.help.empty()) {
    spec.help = keep(fmt::format("{} {}: {}", spec.help, choice.name, choice.help));
  }
  for (const auto& used : choice.uses) use_with(named(used), key, name);
  for (const auto& own : choice.keys) declare(own, {{{key_name, {name}}}});
  added().emplace(std::pair(std::string(key), choice.name), choice.version);
}

bool is_registered(std::string_view key, std::string_view name) {
  return added().contains(std::pair(std::string(key), std::string(name)));
}

std::string registered_version(std::string_view key, std::string_view name) {
  const auto found = added().find(std::pair(std::string(key), std::string(name)));
  return found == added().end() ? std::string() : found->second;
}

key_value value_of(const config& c, std::string_view name) {
  const auto* spec = find_key(name);
  if (spec == nullptr) throw std::invalid_argument(fmt::format("there is no key {}", name));
  return spec->member.get(c);
}

void refuse_type(std::string_view name) {
  throw std::invalid_argument(fmt::format("{} is asked for as another type; it is {}", name,
                                          allowed_values(*find_key(name))));
}

}  // namespace rubato
