#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "actors/run.hpp"
#include "app/commands.hpp"
#include "config/error.hpp"
#include "monitoring/console.hpp"
#include "monitoring/summary.hpp"

namespace rubato {
namespace {

std::atomic<bool> interrupted{false};

// The shell's code for a program ended by SIGINT: scripts must not go on after Ctrl-C.
constexpr int exit_interrupted = 130;

extern "C" void on_interrupt(int) {
  if (interrupted.exchange(true)) _exit(exit_interrupted);
}

void catch_interrupts() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    sigaction(number, nullptr, &action);
    if (action.sa_handler == SIG_IGN) continue;  // whoever started us wants it so: nohup does
    action = {};
    action.sa_handler = on_interrupt;
    sigaction(number, &action, nullptr);
  }
  signal(SIGPIPE, SIG_IGN);  // a run must not end because nobody reads what it prints
}

}  // namespace

int train(const train_options& options) {
  std::vector<std::string> notes;
  const config c = load_config(options.config_path, options.overrides, &notes);
  for (const auto& note : notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  if (options.print_config) {
    std::fputs(to_toml(c).c_str(), stdout);
    return exit_done;
  }

  catch_interrupts();
  // With --json only the summary goes to standard output.
  std::FILE* const out = options.json ? stderr : stdout;
  const auto screen = std::make_shared<console>(out, isatty(fileno(out)) != 0);
  run_parts parts;
  parts.observer = screen;
  parts.stop = &interrupted;
  const run_summary summary = run_training(c, parts);
  screen->clear();
  std::fputs((options.json ? to_json(summary) : to_text(summary)).c_str(), stdout);
  if (summary.outcome == "interrupted") return exit_interrupted;
  if (summary.outcome == "diverged") {
    std::fprintf(stderr,
                 "rubato: the run diverged: its held-out loss is no longer a number; lower "
                 "inner.lr or outer.lr, or set inner.clip\n");
    return exit_run_failed;
  }
  return exit_done;
}

}  // namespace rubato
