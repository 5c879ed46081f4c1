// From a TOML file and command-line overrides to a checked `config`, and back to TOML text.
// Not here: what keys there are and what they allow (schema.hpp), and which of them do not go
// together (rules.hpp).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"

namespace rubato {

/// One `--section.key value` from the command line; the value is TOML, or a bare string where the
/// key takes a string.
using override_list = std::vector<std::pair<std::string, std::string>>;

/// Reads `path` (empty: defaults only), applies the overrides over it (the last of a key wins) and
/// checks everything: unknown keys, types, ranges, contradictions, keys that the chosen method does
/// not use.
///
/// A key of the file that an override put out of use (outer.buffer, once the command line chose
/// another outer.optimizer) goes back to its default; `notes` receives one line about each.
///
/// Throws usage_error with one line that names file and line (or "command line"), key, value and
/// what is allowed; with the nearest known key for an unknown one.
config load_config(const std::string& path, const override_list& overrides = {},
                   std::vector<std::string>* notes = nullptr);

/// Settings laid over those before them; the last of a key wins.
struct config_layer {
  override_list settings;
  std::string source = "command line";  // where they come from, for messages
};

/// A config in layers, the lowest a file.
struct layered_config {
  std::string path;         // empty: defaults only
  bool comparison = false;  // the file's [compare] table is somebody else's, else it is refused
  std::vector<config_layer> layers = {};
};

/// The same with any number of layers. A key that the last layer put out of use goes back to its
/// default; one that is in the last layer itself, or that was of no use before it, is refused.
config load_config(const layered_config& from, std::vector<std::string>* notes = nullptr);

/// The effective configuration as TOML, with only the keys that are in use, so that reading it
/// again gives the same config. Deterministic.
std::string to_toml(const config& c);

}  // namespace rubato
