// The subcommands of `rubato`, one file each, and what they share.
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

struct train_options {
  std::string config_path;
  override_list overrides;
  bool print_config = false;
  bool json = false;
};

/// `rubato train`: returns the exit code.
int train(const train_options& options);

}  // namespace rubato
