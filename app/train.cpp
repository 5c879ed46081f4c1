#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "actors/run.hpp"
#include "app/commands.hpp"
#include "app/interrupts.hpp"
#include "app/monitoring.hpp"
#include "config/error.hpp"
#include "model/blas.hpp"
#include "model/precision.hpp"
#include "monitoring/console.hpp"
#include "monitoring/summary.hpp"
#include "network/serving.hpp"
#include "recovery/resume.hpp"
#include "storage/checkpoint_reader.hpp"
#include "storage/run_directory.hpp"

namespace rubato {
namespace {

config load(const train_options& options, std::vector<std::string>* notes) {
  auto paths = options.config_paths;
  if (options.resume.empty()) {
    return load_config({.paths = paths, .layers = {{.settings = options.overrides}}}, notes);
  }
  const auto directory = run_directory::of_existing_run(options.resume);
  if (paths.empty()) paths.push_back(directory.file("config.toml"));
  config c = load_config({.paths = paths, .layers = {{.settings = options.overrides}}}, notes);
  c.run.directory = options.resume;
  c.run.resume = "auto";
  return c;
}

/// Says that there is nothing to do.
int show_finished(const std::string& directory, bool as_json) {
  std::fprintf(stderr, "note: the run in %s has finished; there is nothing to go on with\n",
               directory.c_str());
  if (as_json) {
    std::ifstream in(directory + "/summary.json");
    std::ostringstream text;
    text << in.rdbuf();
    std::fputs(text.str().c_str(), stdout);
  }
  return exit_done;
}

/// "; ...": which parameters of a run that diverged are still good.
std::string last_good(const run_summary& summary) {
  if (!summary.last_finite_version) return "; no version had one";
  const auto version = *summary.last_finite_version;
  const auto folder = checkpoint_folder(summary.directory);
  std::string checkpoint = "no checkpoint is of that or an earlier one";
  if (std::filesystem::is_directory(folder)) {
    for (const auto number : list_checkpoints(posix_file_system(), folder)) {
      if (number > version) break;
      checkpoint = fmt::format("version {} is in {}", number, checkpoint_path(folder, number));
    }
  }
  return fmt::format("; the last version with one was {} ({})", version, checkpoint);
}

}  // namespace

int train(const train_options& options) {
  std::vector<std::string> notes;
  const config c = load(options, &notes);
  for (const auto& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  if (options.print_config) {
    std::fputs(to_toml(c).c_str(), stdout);
    return exit_done;
  }

  std::optional<serving> serve;
  if (options.serve) {
    serve = serving{check_serving(c, options.insecure_network), RUBATO_VERSION};
  }

  const bool resumable = c.run.resume == "auto" && !c.run.directory.empty();
  const auto before = resumable ? state_of_run(c.run.directory) : run_state::none;
  if (before == run_state::finished) return show_finished(c.run.directory, options.json);

  if (has_slow_blas()) {
    std::fputs(
        "note: LibTorch has neither OpenBLAS nor MKL here, and steps may take several times as "
        "long "
        "as they could; on Debian and Ubuntu, install libopenblas0-pthread\n",
        stderr);
  }
  if (c.inner.precision == "bf16" && !has_fast_bf16()) {
    std::fputs(
        "note: inner.precision = \"bf16\" is slow here, and f32 faster: the CPU is neither AMD's "
        "with AVX512-BF16 nor Intel's with AMX-BF16, or LibTorch has no oneDNN\n",
        stderr);
  }

  auto& interrupted = catch_interrupts();
  // With --json only the summary goes to standard output.
  std::FILE* const out = options.json ? stderr : stdout;
  const auto screen = std::make_shared<console>(out, isatty(fileno(out)) != 0);
  run_parts parts;
  parts.activity = std::make_shared<lane_activity>();
  const auto watched = start_monitor(c, options.serve ? monitored::server : monitored::run,
                                     parts.activity, options.insecure_network, stderr);
  parts.probe = watched;
  if (options.serve) parts.links = watched;
  parts.observer = screen;
  parts.stop = &interrupted;
  parts.serve = serve;
  const run_summary summary = run_training(c, parts);
  screen->clear();
  if (!options.no_report) write_report_of(summary.directory);
  std::fputs((options.json ? to_json(summary) : to_text(summary)).c_str(), stdout);
  if (summary.outcome == "interrupted") {
    if (c.checkpoint.every_versions > 0) {
      std::fprintf(stderr, "rubato: interrupted; go on with: rubato %s --resume %s\n",
                   options.serve ? "serve" : "train", summary.directory.c_str());
    }
    return exit_interrupted;
  }
  if (summary.outcome == "diverged") {
    fmt::print(stderr,
               "rubato: the run diverged: its held-out loss is no longer a number{}; lower "
               "inner.lr or outer.lr, or set inner.clip\n",
               last_good(summary));
    return exit_run_failed;
  }
  return exit_done;
}

}  // namespace rubato
