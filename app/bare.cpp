// The program `rubato` where there are no actors (RUBATO_ACTORS=OFF): `rubato bench step --bare`.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "app/command_line.hpp"
#include "app/step_command.hpp"
#include "config/error.hpp"
#include "model/blas.hpp"

namespace {

int run(int argc, char** argv) {
  auto line = rubato::split_command_line(argc, argv);
  CLI::App app("Rubato without its actors, which only measures how fast local steps are", "rubato");
  app.require_subcommand(1);
  auto* bench = app.add_subcommand("bench", "Measure");
  bench->require_subcommand(1);
  rubato::bench_step_options options;
  auto* step = rubato::add_step_command(*bench, options);
  std::vector<std::string> arguments(line.rest.rbegin(), line.rest.rend());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? rubato::exit_done : rubato::exit_usage;
  }
  if (*step && !options.bare) {
    throw rubato::usage_error(
        "command line: this program is built without actors (RUBATO_ACTORS=OFF), so `rubato bench "
        "step` needs --bare");
  }
  options.overrides = std::move(line.overrides);
  return rubato::bench_bare_step(options);
}

}  // namespace

int main(int argc, char** argv) {
  rubato::choose_blas_kernels(argv);
  try {
    return run(argc, argv);
  } catch (const rubato::usage_error& error) {
    std::fprintf(stderr, "rubato: %s\n", error.what());
    return rubato::exit_usage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rubato: %s\n", error.what());
    return rubato::exit_run_failed;
  }
}
