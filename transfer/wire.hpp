// The messages of a transfer, as plain structs of integers and one string, in the order in which
// docs/protocol.md describes them. Never floating point: CAF 0.17.6 corrupts it.
// Not here: when they are sent (sender.hpp, receiver.hpp), and how (the courier's business).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>

#include "bytes/crc32c.hpp"

namespace rubato {

/// Of the messages below; both ends have the same.
inline constexpr std::uint16_t transfer_protocol = 1;

/// A window is so many chunks at most: masks of chunks are 64 bits.
inline constexpr std::uint32_t max_window = 64;

// Each message has fields(), a tuple of references to all of its integers but the checksum, for
// whoever serialises it, and a checksum over them (and the payload).

/// Sender: this is what I have for you. Again, unchanged but for `resume`: how far are you?
struct transfer_offer {
  std::uint64_t transfer = 0;  // its name; those of one sender increase
  std::uint64_t version = 0;   // of the content; with `base`, its owner's business
  std::uint64_t base = 0;
  std::uint64_t total_bytes = 0;
  std::uint32_t chunk_bytes = 0;  // of every chunk but the last
  std::uint32_t content_checksum = 0;
  std::uint16_t protocol = transfer_protocol;
  std::uint8_t kind = 0;    // of the content, see expected_content
  std::uint8_t codec = 0;   // codec.hpp
  std::uint8_t resume = 0;  // 1: what was on its way is lost
  std::uint32_t checksum = 0;

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.transfer, m.version, m.base, m.total_bytes, m.chunk_bytes, m.content_checksum,
                    m.protocol, m.kind, m.codec, m.resume);
  }
  bool operator==(const transfer_offer& other) const = default;
};

/// Receiver: I have all chunks below `next`; you may send those below `limit` that you have not
/// sent, and those of `again` a second time.
struct transfer_credit {
  std::uint64_t transfer = 0;
  std::uint64_t again = 0;   // bit i: chunk next + i
  std::uint32_t serial = 0;  // increases; one that is not above the last is out of date
  std::uint32_t next = 0;
  std::uint32_t limit = 0;  // at most next + max_window
  std::uint32_t checksum = 0;

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.transfer, m.again, m.serial, m.next, m.limit);
  }
  bool operator==(const transfer_credit& other) const = default;
};

/// Sender: a part of the content.
struct transfer_chunk {
  std::uint64_t transfer = 0;
  std::uint64_t offset = 0;
  std::uint32_t index = 0;
  std::uint32_t length = 0;
  std::uint32_t checksum = 0;
  std::string payload;  // the only type that every version of CAF copies as a block

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.transfer, m.offset, m.index, m.length);
  }
  bool operator==(const transfer_chunk& other) const = default;
};

/// Sender: unless you have all of it, forget it; tell me which.
struct transfer_cancel {
  std::uint64_t transfer = 0;
  std::uint32_t checksum = 0;

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.transfer);
  }
  bool operator==(const transfer_cancel& other) const = default;
};

/// What became of a transfer. A number on the wire: append only.
enum class verdict : std::uint8_t {
  delivered = 0,          // all of it is there, and is what was offered
  cancelled = 1,          // as the sender asked for
  superseded = 2,         // a newer transfer has been offered or cancelled
  stalled = 3,            // nothing came for too long
  damaged = 4,            // too many damaged chunks in a row
  wrong_content = 5,      // the chunks are good, but together not what was offered
  out_of_order = 6,       // a chunk that was never asked for or does not fit its place
  unknown_protocol = 7,   // `expected` is the receiver's
  unexpected_kind = 8,    // the receiver does not take such content
  unexpected_codec = 9,   // not for content of this kind
  wrong_size = 10,        // `expected` is what the receiver's model needs
  wrong_chunk_size = 11,  // `expected` is the largest that it takes
};

/// Receiver: this is the end of the transfer.
struct transfer_verdict {
  std::uint64_t transfer = 0;
  std::uint64_t expected = 0;  // see verdict
  std::uint8_t what = 0;       // verdict
  std::uint32_t checksum = 0;

  template <class M>
  static auto fields(M& m) {
    return std::tie(m.transfer, m.expected, m.what);
  }
  bool operator==(const transfer_verdict& other) const = default;
};

/// One line for people, without the transfer's name: "stalled: ...".
std::string describe(std::uint8_t what, std::uint64_t expected);

/// One of the structs above.
template <class M>
concept transfer_message = requires(M& message) {
  M::fields(message);
  message.checksum;
};

/// CRC32C over the fields, little-endian and one after the other, and the payload.
template <transfer_message M>
std::uint32_t checksum_of(const M& message) {
  const std::uint32_t sum = std::apply(
      [](const auto&... numbers) {
        std::array<std::byte, (sizeof(numbers) + ...)> bytes;
        std::byte* end = bytes.data();
        ((std::memcpy(end, &numbers, sizeof(numbers)), end += sizeof(numbers)), ...);
        return crc32c(bytes);
      },
      M::fields(message));
  if constexpr (requires { message.payload; }) {
    return crc32c(std::as_bytes(std::span(message.payload)), sum);
  } else {
    return sum;
  }
}

/// The message, ready to be sent.
template <transfer_message M>
M sealed(M message) {
  message.checksum = checksum_of(message);
  return message;
}

/// Nothing has changed since it was sealed.
template <transfer_message M>
bool intact(const M& message) {
  return message.checksum == checksum_of(message);
}

}  // namespace rubato
