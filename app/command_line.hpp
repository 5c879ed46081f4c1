// The arguments of the program, before any subcommand looks at them.
#pragma once

#include <string>
#include <vector>

#include "config/load.hpp"

namespace rubato {

/// The command line, split: `--section.key value` and `--section.key=value` are overrides of the
/// config, everything else is left in order. Throws usage_error for a key without a value.
struct command_line {
  override_list overrides;
  std::vector<std::string> rest;
};
command_line split_command_line(int argc, const char* const* argv);

}  // namespace rubato
