// TOML as Rubato reads it: a whole file, and a value as one line of text again. For those who read
// tables of their own from a file; the config of a run is load.hpp's.
#pragma once

#include <toml++/toml.h>

#include <string>

namespace rubato {

/// Throws usage_error: "PATH: cannot be read: REASON" or "PATH:LINE:COLUMN: what is wrong".
toml::table read_toml(const std::string& path);

/// The value as TOML, on one line; a table, at whatever depth, is shown as "{...}".
std::string to_text(const toml::node& node);

/// "PATH:LINE", where the node is in its file.
std::string place_of(const toml::node& node, const std::string& path);

}  // namespace rubato
