// Rules about several keys at once: settings that are each allowed, but not together.
// Not here: types, ranges, choices and conditions of a single key (schema.hpp).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace rubato {

/// Settings that do not fit together, in one line that says so and what to do.
struct contradiction {
  std::vector<std::string_view> keys;  // those at fault
  std::string message;
};

/// The first of the rules about section network alone that it breaks, if any.
std::optional<contradiction> find_network_contradiction(const config& c);

/// The first rule that a config breaks, if any. Each value must be in its key's range.
std::optional<contradiction> find_contradiction(const config& c);

}  // namespace rubato
