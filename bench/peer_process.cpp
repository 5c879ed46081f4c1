#include "bench/peer_process.hpp"

#include <cstdlib>

#include "config/error.hpp"

namespace rubato {
namespace {

std::string in_own_environment(const std::string& command) {
  if (getenv("RUBATO_REPLACED_CORETYPE") == nullptr) return command;
  return "unset OPENBLAS_CORETYPE RUBATO_REPLACED_CORETYPE; " + command;
}

}  // namespace

peer_process::peer_process(const std::string& command)
    : command_(command), child_({"/bin/sh", "-c", in_own_environment(command)}) {}

double peer_process::measure() {
  child_.write_line("go");
  const auto line = child_.read_line().value_or("");
  char* end = nullptr;
  const double seconds = std::strtod(line.c_str(), &end);
  if (end == line.c_str() || *end != '\0' || !(seconds > 0.0)) {
    throw run_error("bench: " + command_ + " did not answer with its seconds: " + line +
                    child_.errors());
  }
  return seconds;
}

}  // namespace rubato
