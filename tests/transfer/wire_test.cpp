#include "transfer/wire.hpp"

#include <doctest/doctest.h>

#include <string>

#include "bytes/crc32c.hpp"
#include "tests/transfer/fake_network.hpp"

using namespace rubato;

namespace {

/// Every change of one bit is seen; the link of the other tests makes such changes.
template <class M>
void check_damage(const M& message) {
  const M sent = sealed(message);
  CHECK(intact(sent));
  random_generator random(1, random_stream::test);
  for (int i = 0; i < 2000; ++i) {
    M arrived = sent;
    damage(arrived, random);
    REQUIRE(arrived != sent);
    REQUIRE_FALSE(intact(arrived));
  }
}

}  // namespace

TEST_CASE("the checksum is CRC32C, in pieces as at once") {
  const std::string text = "123456789";
  const byte_span bytes = std::as_bytes(std::span(text));
  CHECK(crc32c(bytes) == 0xe3069283);
  CHECK(crc32c(bytes.subspan(4), crc32c(bytes.first(4))) == 0xe3069283);
}

TEST_CASE("a message that was damaged is not taken for whole") {
  check_damage(transfer_offer{1, 2, 3, 4000, 1024, 77, transfer_protocol, 1, 2, 0, 0});
  check_damage(transfer_credit{1, 0b101, 7, 3, 11, 0});
  check_damage(transfer_chunk{1, 2048, 2, 5, 0, "hello"});
  check_damage(transfer_cancel{1, 0});
  check_damage(transfer_verdict{1, 4000, 10, 0});
}

TEST_CASE("the checksum of a message is that of its integers, little-endian, and its payload") {
  const std::string bytes(
      "\1\0\0\0\0\0\0\0"
      "\0\x08\0\0\0\0\0\0"
      "\2\0\0\0"
      "\5\0\0\0"
      "hello",
      29);
  CHECK(checksum_of(transfer_chunk{1, 2048, 2, 5, 0, "hello"}) ==
        crc32c(std::as_bytes(std::span(bytes))));
}

TEST_CASE("every verdict has a line for people, and one from the future as well") {
  for (int what = 0; what < 256; ++what) {
    const std::string text = describe(static_cast<std::uint8_t>(what), 4096);
    CHECK_FALSE(text.empty());
    CHECK(text.find('\n') == std::string::npos);
    const bool known = what <= static_cast<int>(verdict::wrong_chunk_size);
    CHECK((text.find("unknown here (") == std::string::npos) == known);
  }
  CHECK(describe(static_cast<std::uint8_t>(verdict::wrong_size), 4096).find("4096 bytes") !=
        std::string::npos);
}
