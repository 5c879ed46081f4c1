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

/// Settings laid over those before them.
struct config_layer {
  override_list settings;
  std::string source = "command line";  // where they come from, for messages
};

/// A config in layers: first the defaults, then the files in order, then the settings. What is
/// later wins.
struct layered_config {
  std::vector<std::string> paths = {};
  bool comparison = false;  // a [compare] table in a file is somebody else's, else it is refused
  std::vector<config_layer> layers = {};
};

/// Reads and checks everything: unknown keys, types, ranges, contradictions, keys that the chosen
/// method does not use.
///
/// A key that a later layer put out of use (outer.buffer of a file, once the command line chose
/// another outer.optimizer) goes back to its default; `notes` receives one line about each. One
/// that was of no use in its own layer, and in the end, is refused.
///
/// Throws usage_error with one line that names file and line (or the layer's source), key, value
/// and what is allowed; with the nearest known key for an unknown one.
config load_config(const layered_config& from, std::vector<std::string>* notes = nullptr);

/// The same with one file (empty: defaults only) and the command line.
config load_config(const std::string& path, const override_list& overrides = {},
                   std::vector<std::string>* notes = nullptr);

/// What a machine brings to a run that another one decides on: its settings of scope node.
struct node_settings {
  config own;            // with them; the rest is defaults, and nothing is checked across keys
  override_list values;  // they alone, to lay over those of the run
  std::size_t passed_over = 0;  // settings of scope run in the files
};

/// Reads them from files, in which settings of scope run are passed over, so that one file can be
/// for the whole run; and from the command line, where they are refused. Later ones win. Throws
/// usage_error as load_config().
node_settings load_node_settings(const std::vector<std::string>& paths,
                                 const override_list& overrides);

/// Every setting of scope run that is in use, for machines that take part.
override_list run_settings(const config& c);

/// The effective configuration as TOML, with only the keys that are in use, so that reading it
/// again gives the same config. Deterministic.
std::string to_toml(const config& c);

}  // namespace rubato
