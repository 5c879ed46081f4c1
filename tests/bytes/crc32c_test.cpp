#include "bytes/crc32c.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using namespace rubato;

namespace {

/// Bit by bit, from the definition.
std::uint32_t slow_crc32c(byte_span bytes) {
  std::uint32_t state = 0xffffffff;
  for (const std::byte b : bytes) {
    state ^= std::to_integer<std::uint32_t>(b);
    for (int bit = 0; bit < 8; ++bit) {
      state = (state & 1) != 0 ? (state >> 1) ^ 0x82f63b78 : state >> 1;
    }
  }
  return ~state;
}

}  // namespace

TEST_CASE("the checksum has the values of the standard") {
  CHECK(crc32c({}) == 0);
  CHECK(crc32c(as_bytes("123456789")) == 0xe3069283);
  // RFC 3720, B.4.
  CHECK(crc32c(std::vector<std::byte>(32)) == 0x8a9136aa);
  CHECK(crc32c(std::vector<std::byte>(32, std::byte{0xff})) == 0x62a8ab43);
}

TEST_CASE("a checksum at any length and alignment is that of the definition") {
  std::mt19937_64 random(1);
  std::vector<std::byte> bytes(2000);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  for (std::size_t begin = 0; begin < 16; ++begin) {
    for (std::size_t size = 0; size < 1500; size = size < 80 ? size + 1 : size * 3 / 2) {
      const byte_span part = byte_span(bytes).subspan(begin, size);
      CHECK(crc32c(part) == slow_crc32c(part));
    }
  }
}

TEST_CASE("a checksum can be computed in pieces") {
  const std::string text = "one piece after the other";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CHECK(crc32c(as_bytes(text).subspan(cut), crc32c(as_bytes(text).first(cut))) ==
          crc32c(as_bytes(text)));
  }
}
