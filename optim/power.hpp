// Whole powers, for the bias corrections of Adam.
#pragma once

#include <cstdint>

namespace rubato {

/// base^exponent by repeated squaring: unlike std::pow, the same bits on every machine.
inline double power(double base, std::uint64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace rubato
