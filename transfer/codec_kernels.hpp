// The inner loops of codec.hpp, once for each instruction set. Only for codec.cpp and the test that
// compares them.
#pragma once

#include <cstddef>

#include "transfer/codec.hpp"

namespace rubato {

enum class instruction_set { baseline, avx2 };

struct codec_kernels {
  void (*encode)(codec c, const float* values, std::size_t count, std::byte* out);
  void (*decode)(codec c, const std::byte* bytes, std::size_t count, float* out);
};

/// nullptr if this CPU does not have it.
const codec_kernels* kernels_for(instruction_set s);

}  // namespace rubato
