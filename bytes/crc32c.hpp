// CRC32C (Castagnoli), the checksum of everything that Rubato keeps or sends.
#pragma once

#include <cstdint>

#include "bytes/bytes.hpp"

namespace rubato {

/// Of `bytes`, or of what `before` is the checksum of followed by `bytes`. Thread-safe; as fast as
/// memory where the CPU has an instruction for it, which is found out at run time.
std::uint32_t crc32c(byte_span bytes, std::uint32_t before = 0);

}  // namespace rubato
