// The command line as others read it: completion for shells, and the manual page. Made from the
// definitions that it is parsed by, and from those of all configuration keys.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace rubato {

/// A script for bash-completion: subcommands, options, keys, and the values of keys with choices.
std::string bash_completion(const CLI::App& app);

/// The same as a completion function of zsh.
std::string zsh_completion(const CLI::App& app);

/// rubato(1), for man; `version` is the program's.
std::string manual_page(const CLI::App& app, const std::string& version);

}  // namespace rubato
