#include "storage/run_identity.hpp"

#include <cstring>
#include <random>

#include <fmt/format.h>

namespace rubato {

run_identity new_run_identity() {
  run_identity run;
  std::random_device source;
  for (std::size_t i = 0; i < run.id.size(); i += sizeof(unsigned)) {
    const unsigned word = source();
    std::memcpy(&run.id[i], &word, sizeof(word));
  }
  run.created = std::chrono::system_clock::now().time_since_epoch();
  return run;
}

std::string to_string(const run_identity& run) {
  std::string text;
  for (const std::byte b : run.id) text += fmt::format("{:02x}", std::to_integer<unsigned>(b));
  return text;
}

}  // namespace rubato
