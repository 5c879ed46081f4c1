#include "transfer/codec.hpp"

#include <array>
#include <stdexcept>

#include "transfer/codec_kernels.hpp"

namespace rubato {

namespace {

constexpr std::array<std::string_view, 4> names{"f32", "bf16", "int8", "int4"};

}  // namespace

std::string_view name(codec c) {
  return names.at(static_cast<std::size_t>(c));
}

std::optional<codec> find_codec(std::string_view name) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<codec>(i);
  }
  return {};
}

std::optional<codec> find_codec(std::uint8_t number) {
  if (number >= names.size()) return {};
  return static_cast<codec>(number);
}

codec_unit unit_of(codec c) {
  switch (c) {
    case codec::f32:
      return {1, 4};
    case codec::bf16:
      return {1, 2};
    case codec::int8:
      return {block_values, sizeof(float) + block_values};
    case codec::int4:
      return {block_values, sizeof(float) + block_values / 2};
  }
  throw std::invalid_argument("unit_of: there is no such codec");
}

std::size_t encoded_size(codec c, std::size_t values) {
  const codec_unit unit = unit_of(c);
  const std::size_t rest = values % unit.values;
  const std::size_t whole = values / unit.values * unit.bytes;
  if (rest == 0) return whole;
  return whole + sizeof(float) + (c == codec::int8 ? rest : (rest + 1) / 2);
}

void encode(codec c, std::span<const float> values, std::span<std::byte> out) {
  if (out.size() != encoded_size(c, values.size())) {
    throw std::invalid_argument("encode: the bytes are not as many as the values need");
  }
  encode_values(c, values.data(), values.size(), out.data());
}

void decode(codec c, byte_span bytes, std::span<float> out) {
  if (bytes.size() != encoded_size(c, out.size())) {
    throw std::invalid_argument("decode: the bytes are not as many as the values need");
  }
  decode_values(c, bytes.data(), out.size(), out.data());
}

}  // namespace rubato
