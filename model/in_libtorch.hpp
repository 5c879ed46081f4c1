// LibTorch's errors as errors for people. Internal to model/.
#pragma once

#include <c10/util/Exception.h>

#include <string>

#include "config/error.hpp"

namespace rubato {

/// Runs `compute`; an error of LibTorch's leaves as one line, without its stack trace.
template <class Function>
auto in_libtorch(Function compute) {
  try {
    return compute();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    throw run_error("LibTorch: " + text.substr(0, text.find('\n')));
  }
}

}  // namespace rubato
