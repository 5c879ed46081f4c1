// The program `rubato`.
#include "app/program.hpp"

int main(int argc, char** argv) {
  return rubato::run_program(argc, argv);
}
