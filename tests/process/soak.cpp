// Kills runs for as long as it is told:  soak [--minutes N]
// First 20 times on the virtual clock and 50 times on the wall clock, then on and on.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "tests/process/killing.hpp"

using namespace rubato;

namespace {

constexpr const char* usage = "usage: soak [--minutes N]\n";

/// A round of kills with seeds of its own; returns the next seed.
std::uint64_t kill_for_a_while(const program_fixture& files, std::uint64_t seed, int on_virtual,
                               int on_wall) {
  for (int killed = 0; killed < on_virtual; ++seed) {
    const int more = kill_on_virtual_clock(files, seed, on_virtual - killed);
    killed += more;
    fmt::print("virtual clock: killed {} times, the same weights\n", more);
    std::fflush(stdout);
  }
  const auto acknowledged = kill_on_wall_clock(files, RUBATO_WITNESSED_RUN, seed, on_wall);
  fmt::print("wall clock: killed {} times, {} updates acknowledged, none missing, none twice\n",
             on_wall, acknowledged);
  std::fflush(stdout);
  return seed + 1000;
}

}  // namespace

int main(int argc, char** argv) {
  double minutes = 0.0;
  if (argc == 3 && std::strcmp(argv[1], "--minutes") == 0) {
    char* end = nullptr;
    minutes = std::strtod(argv[2], &end);
    if (end == argv[2] || *end != '\0') argc = 0;
  }
  if (argc != 1 && argc != 3) {
    std::fputs(usage, stderr);
    return 2;
  }
  const auto begin = std::chrono::steady_clock::now();
  const program_fixture files;
  try {
    auto seed = kill_for_a_while(files, 1, 20, 50);
    while (std::chrono::steady_clock::now() - begin < std::chrono::duration<double>(minutes * 60)) {
      seed = kill_for_a_while(files, seed, 5, 20);
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "soak: {}\n", e.what());
    return 1;
  }
  return 0;
}
