#include "app/interrupts.hpp"

#include <signal.h>
#include <unistd.h>

#include <iterator>

namespace rubato {
namespace {

constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};

std::atomic<bool> interrupted{false};
bool switched_off[std::size(signals)] = {};

extern "C" void on_interrupt(int) {
  if (interrupted.exchange(true)) _exit(exit_interrupted);
}

}  // namespace

std::atomic<bool>& catch_interrupts() {
  for (std::size_t i = 0; i < std::size(signals); ++i) {
    struct sigaction action {};
    sigaction(signals[i], nullptr, &action);
    // Whoever started us wants it so: nohup does.
    const bool off = switched_off[i] || action.sa_handler == SIG_IGN;
    action = {};
    action.sa_handler = off ? SIG_IGN : on_interrupt;
    sigaction(signals[i], &action, nullptr);
  }
  signal(SIGPIPE, SIG_IGN);  // a run must not end because nobody reads what it prints
  return interrupted;
}

// The sanitizers' own state is made later.
__attribute__((no_sanitize("address", "undefined"))) void remember_switched_off() noexcept {
  for (std::size_t i = 0; i < std::size(signals); ++i) {
    struct sigaction action;
    switched_off[i] = sigaction(signals[i], nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
  }
}

}  // namespace rubato
