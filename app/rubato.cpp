// The program `rubato`.
#include "app/interrupts.hpp"
#include "app/program.hpp"

// Before the constructors of libraries: LibTorch loads UCX where it is built with MPI (Debian 13),
// and that sets a handler for SIGHUP, even if nohup has switched the signal off.
[[gnu::section(".preinit_array"), gnu::used]] static auto* before_all =
    rubato::remember_switched_off;

int main(int argc, char** argv) {
  return rubato::run_program(argc, argv);
}
