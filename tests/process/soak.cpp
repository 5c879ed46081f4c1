// Kills runs for as long as it is told:  soak [--cluster] [--minutes N]
// First 20 times on the virtual clock and 50 times on the wall clock, then on and on. With
// --cluster runs over several processes, of a minute each, whose nodes, links and servers come and
// go.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "tests/process/cluster_soak.hpp"
#include "tests/process/killing.hpp"

using namespace rubato;

namespace {

constexpr const char* usage = "usage: soak [--cluster] [--minutes N]\n";

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

/// A run over several processes; returns the next seed.
std::uint64_t soak_cluster(const program_fixture& files, std::uint64_t seed) {
  const auto c = cluster_soak(files, seed).live(std::chrono::minutes(1));
  fmt::print(
      "cluster {}: {} nodes came, {} were killed, {} asked to leave, {} hung, {} links changed, "
      "the "
      "server was killed {} times; {} updates applied, {} abandoned, the books balance\n",
      seed, c.joined, c.killed, c.left, c.hung, c.links_changed, c.server_killed, c.applied,
      c.abandoned);
  std::fflush(stdout);
  return seed + 1;
}

}  // namespace

int main(int argc, char** argv) {
  double minutes = 0.0;
  bool cluster = false;
  for (int i = 1; i < argc; ++i) {
    char* end = nullptr;
    if (std::strcmp(argv[i], "--cluster") == 0) {
      cluster = true;
      continue;
    }
    if (std::strcmp(argv[i], "--minutes") == 0 && i + 1 < argc) {
      minutes = std::strtod(argv[++i], &end);
      if (end != argv[i] && *end == '\0') continue;
    }
    std::fputs(usage, stderr);
    return 2;
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto time_left = [&] {
    return std::chrono::steady_clock::now() - begin < std::chrono::duration<double>(minutes * 60);
  };
  const program_fixture files;
  try {
    auto seed = cluster ? soak_cluster(files, 1) : kill_for_a_while(files, 1, 20, 50);
    while (time_left()) {
      seed = cluster ? soak_cluster(files, seed) : kill_for_a_while(files, seed, 5, 20);
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "soak: {}\n", e.what());
    return 1;
  }
  return 0;
}
