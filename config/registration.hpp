// What a program adds to the names that a config can choose from: a network, a data set, a method
// of its own, with keys of its own. They are then keys and choices like all others: in TOML, on the
// command line, in checks, help and on other nodes.
// Not here: what is registered under a name; each folder has its registry where it makes things.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "config/schema.hpp"

namespace rubato {

/// A key that comes with a choice.
struct own_key {
  std::string name;         // "section.key", of a section that there is, such as "model.turns"
  key_value default_value;  // its alternative is the key's type
  std::string help;
  interval range = {};  // of a number; by default from 0
};

/// Something that a program registers, as the config and its help know it.
struct own_choice {
  std::string name;  // what the config calls it
  std::string help = {};
  /// What is sent to nodes and must be the same there, besides the name: of a network or data set
  /// whose meaning changes under its name.
  std::string version = {};
  /// Keys of its own, which are used with it alone.
  std::vector<own_key> keys = {};
  /// Keys that there are and that it goes by, such as "outer.momentum". Other keys that only some
  /// choices use are refused with it.
  std::vector<std::string> uses = {};
};

/// Makes `choice` one of the values of `key`, such as "outer.optimizer". Throws
/// std::invalid_argument, and changes nothing, if the name is taken or a key is not as above. Not
/// thread-safe: register before reading configs.
void add_choice(std::string_view key, const own_choice& choice);

/// Whether add_choice() has made `name` a value of `key`.
bool is_registered(std::string_view key, std::string_view name);

/// The version that it was registered with; empty for what is not registered.
std::string registered_version(std::string_view key, std::string_view name);

/// The value of a key; for own_keys, whose values `config` has no members for. Throws
/// std::invalid_argument for an unknown key, or one of another type.
template <class T>
T setting(const config& c, std::string_view name);

/// Who makes what, by its name: the things of one kind that programs have registered.
template <class Maker>
class registry {
 public:
  /// `key` chooses between them.
  explicit registry(std::string_view key) : key_(key) {}

  /// As add_choice().
  void add(const own_choice& choice, Maker make) {
    add_choice(key_, choice);
    makers_.emplace(choice.name, std::move(make));
  }

  /// nullptr for what is not registered, such as Rubato's own.
  const Maker* find(std::string_view name) const {
    const auto found = makers_.find(name);
    return found == makers_.end() ? nullptr : &found->second;
  }

 private:
  std::string key_;
  std::map<std::string, Maker, std::less<>> makers_;
};

// -- implementation -----------------------------------------------------------------------------

/// The value of any key there is. Throws std::invalid_argument for others.
key_value value_of(const config& c, std::string_view name);

[[noreturn]] void refuse_type(std::string_view name);

template <class T>
T setting(const config& c, std::string_view name) {
  const auto value = value_of(c, name);
  if (const auto* typed = std::get_if<T>(&value)) return *typed;
  refuse_type(name);
}

}  // namespace rubato
