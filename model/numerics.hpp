// What the last bits of a training step depend on besides config, seed and data: for processes
// that are to compute the same bits as one. No LibTorch in this header.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"

namespace rubato {

/// Of this process, each item with its name: compiler, LibTorch, the kernels of its libraries, and
/// what of the config is each machine's own. Equal lists mean equal bits, as far as is known;
/// different ones need not mean different bits.
std::vector<std::pair<std::string, std::string>> numerics_of(const config& c);

}  // namespace rubato
