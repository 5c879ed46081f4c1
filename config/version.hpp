// Which Rubato this is.
#pragma once

#include <string_view>

namespace rubato {

/// "MAJOR.MINOR.PATCH", by semantic versioning: the program's, the library's and the packages'.
std::string_view program_version();

}  // namespace rubato
