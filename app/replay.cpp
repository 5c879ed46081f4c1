#include "recovery/replay.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "actors/parameter_file.hpp"
#include "app/commands.hpp"
#include "config/error.hpp"
#include "monitoring/human.hpp"
#include "recovery/history.hpp"

namespace rubato {
namespace {

/// The run's own configuration, or that of a what-if.
config settings_for(const replay_options& options) {
  for (const auto& [key, value] : options.overrides) {
    if (may_be_replayed_with(key)) continue;
    throw usage_error(fmt::format(
        "command line: a replay cannot be given {} = {}: its pseudo-gradients are there already; "
        "only what is made of them may differ, such as outer.optimizer, outer.lr or outer.momentum",
        key, value));
  }
  const auto path = (std::filesystem::path(options.directory) / "config.toml").string();
  return load_config({.paths = {path}, .layers = {{.settings = options.overrides}}});
}

std::string place_of(const replay_point& point) {
  if (!point.checkpoint) return fmt::format("version {}, the end", point.version);
  return fmt::format("version {}, checkpoint {}", point.version, *point.checkpoint);
}

void print_comparison(const replay_point& point) {
  if (point.same()) {
    fmt::print("{}: same\n", place_of(point));
  } else {
    fmt::print("{}: DIFFERENT\n  recorded {}\n  replayed {}\n", place_of(point), point.recorded,
               point.replayed);
  }
}

void print_what_if(const replay_point& point) {
  fmt::print("{}: what if: {:.4g} away from the run's, which had moved by {:.4g}\n",
             place_of(point), point.distance, point.moved);
}

}  // namespace

int replay(const replay_options& options) {
  const auto& directory = options.directory;
  auto& files = posix_file_system();
  require_journal(files, directory);
  const auto lock = lock_to_read(directory);
  const auto c = settings_for(options);
  const bool what_if = !options.overrides.empty();
  if (what_if) {
    fmt::print("WHAT IF: the pseudo-gradients of {} with other settings:", directory);
    for (const auto& [key, value] : options.overrides) fmt::print(" {} = {}", key, value);
    fmt::print("\nNobody trained so: with these settings the workers would have sent others.\n");
  }

  std::size_t compared = 0;
  std::string first_problem;
  const auto begin = std::chrono::steady_clock::now();
  const auto result = replay_run(files, directory, c, what_if, [&](const replay_point& point) {
    if (!point.damage.empty()) {
      fmt::print("checkpoint {}: {}\n", point.checkpoint.value_or(0), point.damage);
    } else if (what_if) {
      print_what_if(point);
    } else {
      print_comparison(point);
    }
    std::fflush(stdout);
    compared += 1;
    const bool good = point.damage.empty() && (what_if || point.same());
    if (!good && first_problem.empty()) {
      first_problem = point.damage.empty() ? place_of(point) + " is not reached" : point.damage;
    }
  });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;

  for (const auto& reason : result.skipped) fmt::print(stderr, "note: {}\n", reason);
  if (result.fresh_optimizer) {
    fmt::print(stderr,
               "note: the state of the run's optimizer in checkpoint {} is of no use with these "
               "settings; it begins anew\n",
               result.began_at);
  }
  if (result.torn) {
    fmt::print(stderr,
               "note: the last {} bytes of {} were being written when the run was killed, and do "
               "not count\n",
               result.torn->bytes, result.torn->path);
  }
  fmt::print(
      "{} updates from checkpoint {} to version {} in {}{}\n", result.updates, result.began_at,
      result.version, human_duration(seconds.count()),
      result.finished ? "" : ", where the journal stops: the run has not ended as it should");
  if (!options.output.empty()) {
    save_parameters(options.output, result.layout, *result.parameters);
    fmt::print("{}: the parameters{}\n", options.output, what_if ? " of this what-if" : "");
  }
  if (!first_problem.empty()) {
    std::fflush(stdout);
    throw run_error(fmt::format("{}: {}", directory, first_problem));
  }
  if (compared == 0) fmt::print("There was nothing to compare with.\n");
  return exit_done;
}

}  // namespace rubato
