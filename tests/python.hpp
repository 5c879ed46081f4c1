// An interpreter that can import PyTorch, where there is one.
#pragma once

#include <cstdlib>
#include <string>

namespace rubato {

/// Its path, or nothing. Whether LibTorch's own kind of it is there is up to the machine.
inline std::string python_with_torch() {
  for (const std::string python : {"/usr/bin/python3", "python3"}) {
    if (std::system((python + " -c 'import torch, numpy' >/dev/null 2>&1").c_str()) == 0) {
      return python;
    }
  }
  return {};
}

}  // namespace rubato
