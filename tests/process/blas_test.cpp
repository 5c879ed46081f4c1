// OpenBLAS's kernels as the program chooses them, by starting itself anew.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <string>

#include "tests/process/program_fixture.hpp"

using namespace rubato;

