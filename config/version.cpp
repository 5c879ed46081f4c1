#include "config/version.hpp"

namespace rubato {

std::string_view program_version() {
  return RUBATO_VERSION;
}

}  // namespace rubato
