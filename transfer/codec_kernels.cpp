#include "transfer/codec_kernels.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "config/instruction_set.hpp"

// The loops consist of integer operations and of single IEEE operations on floats, so all
// instruction sets give the same bits; so does a thread that flushes denormals to zero.
#define RUBATO_INLINE [[gnu::always_inline]] inline

namespace rubato {

namespace {

constexpr std::uint32_t sign_bit = 0x80000000;
constexpr std::uint32_t infinity_bits = 0x7f800000;
constexpr std::uint32_t least_coded_bits = (127 - 119) << 23;  // 2^-119

RUBATO_INLINE std::uint32_t bits_of(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

RUBATO_INLINE std::uint16_t to_bf16(std::uint32_t bits) {
  const std::uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const std::uint32_t quiet_nan = (bits >> 16) | 0x40;
  return static_cast<std::uint16_t>((bits & ~sign_bit) > infinity_bits ? quiet_nan : rounded);
}

RUBATO_INLINE void encode_bf16(const float* __restrict values, std::size_t count,
                               std::byte* __restrict out) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint16_t half = to_bf16(bits_of(values[i]));
    std::memcpy(out + i * sizeof(half), &half, sizeof(half));
  }
}

RUBATO_INLINE void decode_bf16(const std::byte* __restrict bytes, std::size_t count,
                               float* __restrict out) {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t half;
    std::memcpy(&half, bytes + i * sizeof(half), sizeof(half));
    out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
  }
}

RUBATO_INLINE float scale_of(std::uint32_t largest_bits, float steps) {
  if (largest_bits >= infinity_bits) return std::numeric_limits<float>::quiet_NaN();
  if (largest_bits < least_coded_bits) return 0.0F;
  const float scale = std::bit_cast<float>(largest_bits) / steps;
  // Rounded up, the scale of the very largest floats would bring them back as infinity.
  const bool overflows = scale * steps > std::numeric_limits<float>::max();
  return overflows ? std::bit_cast<float>(bits_of(scale) - 1) : scale;
}

/// To nearest even, for |value| < 2^22: adding this constant leaves the whole number in the lower
/// bits of the sum, on every instruction set.
RUBATO_INLINE std::int32_t round_to_int(float value) {
  constexpr float shift = 12582912.0F;  // 1.5 * 2^23
  return std::bit_cast<std::int32_t>(value + shift) - std::bit_cast<std::int32_t>(shift);
}

RUBATO_INLINE std::size_t half_of(std::size_t count) {
  return (count + 1) / 2;
}

template <codec c>
RUBATO_INLINE void encode_block(const float* __restrict values, std::size_t count,
                                std::byte* __restrict out) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    largest = std::max(largest, bits_of(values[i]) & ~sign_bit);
  }
  const float scale = scale_of(largest, c == codec::int8 ? 127.0F : 7.0F);
  std::memcpy(out, &scale, sizeof(scale));
  out += sizeof(scale);

  // With a scale that is 0 or NaN they stay 0.
  std::array<std::int8_t, block_values> codes{};
  if (scale > 0.0F) {
    for (std::size_t i = 0; i < count; ++i) {
      codes[i] = static_cast<std::int8_t>(round_to_int(values[i] / scale));
    }
  }
  if constexpr (c == codec::int8) {
    std::memcpy(out, codes.data(), count);
  } else {
    const std::size_t half = half_of(count);
    for (std::size_t j = 0; j < half; ++j) {
      // Of an odd number of values the last one has no partner: codes[count] is 0.
      out[j] = static_cast<std::byte>((codes[j] & 15) | (codes[half + j] << 4));
    }
  }
}

template <codec c>
RUBATO_INLINE void decode_block(const std::byte* __restrict bytes, std::size_t count,
                                float* __restrict out) {
  float scale;
  std::memcpy(&scale, bytes, sizeof(scale));
  bytes += sizeof(scale);
  if constexpr (c == codec::int8) {
    for (std::size_t i = 0; i < count; ++i) {
      out[i] = static_cast<float>(static_cast<std::int8_t>(bytes[i])) * scale;
    }
  } else {
    const std::size_t half = half_of(count);
    for (std::size_t j = 0; j < half; ++j) {
      const auto lower = static_cast<std::int8_t>(static_cast<std::uint8_t>(bytes[j]) << 4);
      out[j] = static_cast<float>(lower >> 4) * scale;
    }
    for (std::size_t j = 0; half + j < count; ++j) {
      out[half + j] = static_cast<float>(static_cast<std::int8_t>(bytes[j]) >> 4) * scale;
    }
  }
}

template <codec c>
RUBATO_INLINE void encode_blocks(const float* values, std::size_t count, std::byte* out) {
  constexpr std::size_t block_bytes = sizeof(float) + block_values / (c == codec::int8 ? 1 : 2);
  for (; count >= block_values; count -= block_values) {
    encode_block<c>(values, block_values, out);
    values += block_values;
    out += block_bytes;
  }
  if (count > 0) encode_block<c>(values, count, out);
}

template <codec c>
RUBATO_INLINE void decode_blocks(const std::byte* bytes, std::size_t count, float* out) {
  constexpr std::size_t block_bytes = sizeof(float) + block_values / (c == codec::int8 ? 1 : 2);
  for (; count >= block_values; count -= block_values) {
    decode_block<c>(bytes, block_values, out);
    bytes += block_bytes;
    out += block_values;
  }
  if (count > 0) decode_block<c>(bytes, count, out);
}

RUBATO_INLINE void encode_any(codec c, const float* values, std::size_t count, std::byte* out) {
  switch (c) {
    case codec::f32:
      if (count > 0) std::memcpy(out, values, count * sizeof(float));
      break;
    case codec::bf16:
      encode_bf16(values, count, out);
      break;
    case codec::int8:
      encode_blocks<codec::int8>(values, count, out);
      break;
    case codec::int4:
      encode_blocks<codec::int4>(values, count, out);
      break;
  }
}

RUBATO_INLINE void decode_any(codec c, const std::byte* bytes, std::size_t count, float* out) {
  switch (c) {
    case codec::f32:
      if (count > 0) std::memcpy(out, bytes, count * sizeof(float));
      break;
    case codec::bf16:
      decode_bf16(bytes, count, out);
      break;
    case codec::int8:
      decode_blocks<codec::int8>(bytes, count, out);
      break;
    case codec::int4:
      decode_blocks<codec::int4>(bytes, count, out);
      break;
  }
}

}  // namespace

void encode_values(codec c, const float* values, std::size_t count, std::byte* out) {
  vectorised([=] { encode_any(c, values, count, out); });
}

void decode_values(codec c, const std::byte* bytes, std::size_t count, float* out) {
  vectorised([=] { decode_any(c, bytes, count, out); });
}

}  // namespace rubato
