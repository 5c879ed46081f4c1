// How floats become bytes for the journey: f32, bf16, and whole numbers of 8 or 4 bits with one
// scale a block. The same floats give the same bytes on every machine and instruction set.
// Not here: what is lost on the way and comes along next time (error_feedback.hpp), differences
// between versions (version_form.hpp), sending (sender.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "bytes/bytes.hpp"

namespace rubato {

/// The number on the wire and in journals, never given another meaning: a format that changes gets
/// a new one. All are little-endian and have no header.
///
///   f32   the floats, bit for bit.
///   bf16  their upper halves, rounded to nearest even. Exact for 0, -0 and infinity; NaN stays NaN
///         with its sign and the upper part of its payload; finite ones round to infinity from
///         3.3961775e38. |error| <= max(2^-8 |x|, 2^-134), also for denormal x.
///   int8  blocks of `block_values`: an f32 scale, then a signed byte for each value.
///   int4  the same with 4 bits a value: with h = half of the block's values, rounded up, byte j
///   has
///         value j in its lower and value h + j in its upper half.
///
/// Of int8 and int4 a value is scale times q, with q = x / scale rounded to nearest even in
/// [-steps, steps] and scale = largest |x| of the block / steps; steps is 127 or 7.
/// |error| <= scale (1/2 + 2^-16). A block whose largest |x| is below 2^-119 becomes zeros, so that
/// scales are never denormal. A block with a NaN or infinity becomes NaN altogether: such an update
/// must be refused, not made to look healthy.
enum class codec : std::uint8_t { f32 = 0, bf16 = 1, int8 = 2, int4 = 3 };

/// The name in configurations and messages.
std::string_view name(codec c);
std::optional<codec> find_codec(std::string_view name);
/// From the wire.
std::optional<codec> find_codec(std::uint8_t number);

/// Values that share a scale.
inline constexpr std::size_t block_values = 128;

/// The smallest part that can be decoded on its own.
struct codec_unit {
  std::size_t values;
  std::size_t bytes;
};
codec_unit unit_of(codec c);

/// Bytes of so many values.
std::size_t encoded_size(codec c, std::size_t values);

/// Any part of the values that begins and ends at a unit, or ends with the last value, can be
/// encoded and decoded by itself, on any thread. Spans must not overlap. Both throw
/// std::invalid_argument unless the bytes are encoded_size() of the values. decode() takes any
/// bytes.
void encode(codec c, std::span<const float> values, std::span<std::byte> out);
void decode(codec c, byte_span bytes, std::span<float> out);

}  // namespace rubato
