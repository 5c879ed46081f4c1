#include "app/interrupts.hpp"

#include <signal.h>
#include <unistd.h>

namespace rubato {
namespace {

std::atomic<bool> interrupted{false};

extern "C" void on_interrupt(int) {
  if (interrupted.exchange(true)) _exit(exit_interrupted);
}

}  // namespace

std::atomic<bool>& catch_interrupts() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    sigaction(number, nullptr, &action);
    if (action.sa_handler == SIG_IGN) continue;  // whoever started us wants it so: nohup does
    action = {};
    action.sa_handler = on_interrupt;
    sigaction(number, &action, nullptr);
  }
  signal(SIGPIPE, SIG_IGN);  // a run must not end because nobody reads what it prints
  return interrupted;
}

}  // namespace rubato
