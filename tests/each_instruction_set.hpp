// For tests of our own loops: the same in every instruction set of this CPU.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "config/instruction_set.hpp"

/// Calls check() in each, and goes back to the one that was in use.
template <class Check>
void in_each_instruction_set(const Check& check) {
  struct restore {
    ~restore() { rubato::use_instruction_set(name(before)); }
    rubato::instruction_set before = rubato::instruction_set_in_use();
  } at_the_end;
  for (const auto set : rubato::instruction_sets_here()) {
    rubato::use_instruction_set(name(set));
    const std::string in(name(set));
    CAPTURE(in);
    check();
  }
}
