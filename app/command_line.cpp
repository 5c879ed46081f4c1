#include "app/command_line.hpp"

#include <string_view>

#include "config/error.hpp"

namespace rubato {

command_line split_command_line(int argc, const char* const* argv) {
  command_line result;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto equals = argument.find('=');
    const auto name = argument.substr(0, equals);
    const bool is_key = name.starts_with("--") && name.find('.') != std::string_view::npos;
    if (!is_key) {
      result.rest.emplace_back(argument);
      continue;
    }
    std::string key(name.substr(2));
    if (equals != std::string_view::npos) {
      result.overrides.emplace_back(std::move(key), argument.substr(equals + 1));
    } else if (i + 1 < argc) {
      result.overrides.emplace_back(std::move(key), argv[++i]);
    } else {
      throw usage_error("command line: --" + key + " needs a value");
    }
  }
  return result;
}

}  // namespace rubato
