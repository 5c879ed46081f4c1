#include "bytes/crc32c.hpp"

#include <isa-l/crc.h>

#include <algorithm>

namespace rubato {

std::uint32_t crc32c(byte_span bytes, std::uint32_t before) {
  // The library counts in int, and leaves the inversions at both ends to its caller.
  constexpr std::size_t limit = 1 << 30;
  std::uint32_t state = ~before;
  while (!bytes.empty()) {
    const byte_span piece = bytes.first(std::min(bytes.size(), limit));
    // It takes a pointer that is not const, but only reads.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(piece.data()));
    state = crc32_iscsi(data, static_cast<int>(piece.size()), state);
    bytes = bytes.subspan(piece.size());
  }
  return ~state;
}

}  // namespace rubato
