// The one declaration of every configuration key: where it lives in a `config`, its range, unit,
// scope, help and when it is used. TOML keys, command-line options, checks, the effective config
// and docs/config.md all come from it. To add a key: a member in config.hpp, an entry in
// schema.cpp. Not here: reading (load.hpp), rules about several keys at once (rules.hpp), and what
// a program adds (registration.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace rubato {

/// Whose setting a key is. `run` keys are the server's and hold for every node of the run;
/// `node` keys (paths, threads) are each node's own.
enum class key_scope { run, node };

/// The numbers that a key allows; an infinite maximum allows every finite number from there.
struct interval {
  double minimum = 0.0;
  double maximum = std::numeric_limits<double>::infinity();
  bool without_minimum = false;  // the minimum itself is not allowed
  bool without_maximum = false;
};

/// Another key has one of these values: a string as it is, anything else as TOML.
struct key_test {
  std::string_view key;
  std::vector<std::string_view> values;
};

/// When a key is used: while one test of each clause holds. No clauses: always.
using key_clause = std::vector<key_test>;
using key_condition = std::vector<key_clause>;

/// Reads and writes one member of a `config`.
struct key_member {
  std::function<key_value(const config&)> get;
  std::function<void(config&, const key_value&)> set;
};

struct key_spec {
  std::string_view name = {};  // "section.key"
  key_member member = {};
  key_scope scope = key_scope::run;
  std::string_view unit = {};
  interval range = {};                         // of a number, or of each number of a list
  std::vector<std::string_view> choices = {};  // of a string; empty: any text
  key_condition used_when = {};
  std::string_view help = {};

  std::string_view section() const { return name.substr(0, name.find('.')); }
  std::string_view key() const { return name.substr(name.find('.') + 1); }
  /// The default, from the member initialisers of `config`.
  key_value default_value() const { return member.get(config{}); }
};

/// Every key, in declaration order; the keys of a section are neighbours.
const std::vector<key_spec>& keys();

/// The same, for registration.cpp alone to change.
std::vector<key_spec>& keys_to_extend();

/// The key of that name, or nullptr.
const key_spec* find_key(std::string_view name);

/// True when the other settings of `c` make use of the key.
bool in_use(const key_spec& spec, const config& c);

/// Why in_use() is false: the first clause that does not hold, or nullptr.
const key_clause* failing_clause(const key_spec& spec, const config& c);

/// True when the value has the key's type and is in range or one of the choices; never for NaN or
/// an infinity.
bool allows(const key_spec& spec, const key_value& value);

/// What allows() accepts, for people: "a whole number from 1 to 1024".
std::string allowed_values(const key_spec& spec);

/// The value as TOML, on one line; numbers in the shortest form that reads back exactly.
std::string to_text(const key_value& value);

/// The condition as text, in TOML's notation: `inner.optimizer = "momentum" or "nesterov"`; its
/// clauses are joined by ", and".
std::string to_text(const key_condition& condition);

/// All key names ("run.seed", ...) in declaration order.
std::vector<std::string> key_names();

/// Every key with default, type, range, unit, scope and help: the text of docs/config.md.
std::string describe_keys_markdown();

/// The same for a terminal, as options; at most 100 columns.
std::string describe_keys_text();

}  // namespace rubato
