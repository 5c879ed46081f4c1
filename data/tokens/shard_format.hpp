// The bytes of a token shard, for those who write and who read one. docs/formats.md has them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bytes/bytes.hpp"

namespace rubato {

/// What the first bytes of a shard say of the rest. The rest is the *body* (the tokens, zeros up to
/// a multiple of 8, and for each document the number of tokens up to its end), a checksum of each
/// block of the body, and a checksum of these.
struct shard_header {
  static constexpr std::size_t size = 64;
  static constexpr std::string_view magic = "RUBATO-T";
  static constexpr std::uint32_t version = 1;
  static constexpr std::size_t block = 64 << 10;

  std::uint32_t token_width = 1;  // bytes a token: 1, 2 or 4
  std::uint32_t vocabulary = 256;
  std::uint64_t tokens = 0;
  std::uint64_t documents = 0;
  std::uint64_t text_bytes = 0;  // of the documents, before they were made tokens

  bool operator==(const shard_header&) const = default;

  std::uint64_t ends_offset() const { return round_up(tokens * token_width, 8); }  // in the body
  std::uint64_t body_size() const { return ends_offset() + documents * 8; }
  std::uint64_t blocks() const { return (body_size() + block - 1) / block; }
  std::uint64_t file_size() const { return size + body_size() + blocks() * 4 + 4; }
};

/// The bytes that a token takes: the fewest of 1, 2 and 4 that tell so many apart.
constexpr std::uint32_t token_width_for(std::uint64_t vocabulary) {
  return vocabulary <= 1u << 8 ? 1 : vocabulary <= 1u << 16 ? 2 : 4;
}

std::array<std::byte, shard_header::size> encode(const shard_header& header);

/// Throws malformed_bytes: not a token shard, of another version, damaged, or of sizes that a file
/// of `file_size` bytes cannot have.
shard_header decode_shard_header(byte_span file);

}  // namespace rubato
