// The inner loops of codec.hpp, in the instruction set in use. Only for codec.cpp.
#pragma once

#include <cstddef>

#include "transfer/codec.hpp"

namespace rubato {

/// `count` values to encoded_size() bytes, and back.
void encode_values(codec c, const float* values, std::size_t count, std::byte* out);
void decode_values(codec c, const std::byte* bytes, std::size_t count, float* out);

}  // namespace rubato
