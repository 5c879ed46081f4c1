// Spans of bytes and their checksum, as everything in this folder passes them on.
// Not here: the formats of files (storage/).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace rubato {

static_assert(std::endian::native == std::endian::little, "what is sent is little-endian");

using byte_span = std::span<const std::byte>;

/// CRC32C of `bytes`, or of what `before` is the checksum of followed by `bytes`. Thread-safe; as
/// fast as memory where the CPU has an instruction for it, which is found out at run time.
std::uint32_t transfer_checksum(byte_span bytes, std::uint32_t before = 0);

}  // namespace rubato
