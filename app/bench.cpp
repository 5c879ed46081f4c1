#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "app/commands.hpp"
#include "bench/step.hpp"
#include "config/error.hpp"

namespace rubato {

int bench_step(const bench_step_options& options) {
  std::vector<std::string> notes;
  const config c = load_config(
      {.paths = options.config_paths, .layers = {{.settings = options.overrides}}}, &notes);
  for (const auto& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  const auto told = [](std::string_view line) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  };
  const auto report = measure_step(c, {options.steps, options.repeats}, told);
  std::fputs((options.json ? to_json(report) : to_text(report)).c_str(), stdout);
  return exit_done;
}

}  // namespace rubato
