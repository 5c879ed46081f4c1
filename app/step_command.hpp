// `rubato bench step`: its options, and the part of it that needs no actors. Also the whole of the
// program where there are none (bare.cpp). Not here: the rest of the command line (main.cpp).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/step_rate.hpp"
#include "config/load.hpp"

namespace CLI {
class App;
}

namespace rubato {

struct bench_step_options {
  std::vector<std::string> config_paths;
  override_list overrides;
  step_options measurement;
  bool bare = false;
  bool json = false;
};

/// Adds the subcommand to `rubato bench`, which fills in `options`, but for overrides.
CLI::App* add_step_command(CLI::App& bench, bench_step_options& options);

/// `rubato bench step --bare`: returns the exit code.
int bench_bare_step(const bench_step_options& options);

/// The config of a measurement; notes go to standard error.
config config_of_bench(const std::vector<std::string>& paths, const override_list& overrides);

/// Progress of a measurement, on standard error.
void tell_progress(std::string_view line);

}  // namespace rubato
