#include "app/step_command.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "config/error.hpp"
#include "config/instruction_set.hpp"

namespace rubato {

CLI::App* add_step_command(CLI::App& bench, bench_step_options& options) {
  auto* command = bench.add_subcommand(
      "step", "CPU time per token of a worker in the runtime, against a loop without actors");
  auto& measurement = options.measurement;
  command
      ->add_option("CONFIG", options.config_paths,
                   "What is trained on what; of several files, later ones win")
      ->required();
  command
      ->add_option(
          "--steps", measurement.steps,
          "Local steps of a measurement, made whole rounds; by default three seconds' worth")
      ->check(CLI::Range(1, 1000000000));
  command
      ->add_option("--vocabulary", measurement.vocabulary,
                   "Random tokens, so many different ones, instead of the config's data")
      ->check(CLI::Range(2, 1 << 24));
  command->add_option(
      "--peer", measurement.peer,
      "A program to be measured as well, such as \"python3 bench/peers/step.py f32\"; it is given "
      "the transformer's size, threads and steps");
  command->add_option("--repeats", measurement.repeats, "Measurements of each side")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  auto* bare =
      command->add_flag("--bare", options.bare,
                        "Only the loop without actors: how fast it is by real time, on any "
                        "workers.device");
  command
      ->add_option("--lanes", measurement.lanes,
                   "With --bare: so many workers at once as well, each on a thread of its own")
      ->check(CLI::Range(1, 256))
      ->capture_default_str()
      ->needs(bare);
  command
      ->add_option("--peak-tflops", measurement.peak_tflops,
                   "With --bare: what the device does at most, in dense products of the precision, "
                   "to say what share of that is used")
      ->check(CLI::Range(1e-3, 1e6))
      ->needs(bare);
  command->add_flag("--json", options.json, "Print JSON, with every single measurement");
  return command;
}

void tell_progress(std::string_view line) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

config config_of_bench(const std::vector<std::string>& paths, const override_list& overrides) {
  std::vector<std::string> notes;
  auto c = load_config({.paths = paths, .layers = {{.settings = overrides}}}, &notes);
  for (const auto& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  use_instruction_set(c.run.instruction_set);
  return c;
}

int bench_bare_step(const bench_step_options& options) {
  const auto c = config_of_bench(options.config_paths, options.overrides);
  const auto report = measure_rate(c, options.measurement, tell_progress);
  std::fputs((options.json ? to_json(report) : to_text(report)).c_str(), stdout);
  return exit_done;
}

}  // namespace rubato
