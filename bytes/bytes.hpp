// Numbers and text as little-endian bytes: the one place where the formats of what is kept and sent
// meet memory. What the bytes mean is said where they are put and taken.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace rubato {

static_assert(std::endian::native == std::endian::little, "the formats are little-endian");

using byte_span = std::span<const std::byte>;

inline byte_span as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// The next multiple of `step`, at least `size`.
constexpr std::uint64_t round_up(std::uint64_t size, std::uint64_t step) {
  return (size + step - 1) / step * step;
}

template <class T>
concept number_on_disk = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

/// Appends to a vector that somebody else owns.
class byte_writer {
 public:
  explicit byte_writer(std::vector<std::byte>& out) : out_(out) {}

  /// Integers in two's complement; floating point as its bits, so that every NaN survives.
  template <number_on_disk T>
  void put(T value) {
    put_bytes(std::as_bytes(std::span(&value, 1)));
  }
  /// A 32-bit length, then the bytes. Throws std::length_error from 4 GiB.
  void put_text(std::string_view text) {
    if (text.size() > std::numeric_limits<std::uint32_t>::max()) {
      throw std::length_error("byte_writer: a text of 4 GiB");
    }
    put(static_cast<std::uint32_t>(text.size()));
    put_bytes(as_bytes(text));
  }
  void put_bytes(byte_span bytes) {
    const std::size_t end = out_.size();
    out_.resize(end + bytes.size());
    std::copy_n(bytes.data(), bytes.size(), out_.data() + end);
  }
  void put_zeros(std::size_t count) { out_.resize(out_.size() + count); }

 private:
  std::vector<std::byte>& out_;
};

/// Thrown by byte_reader; who knows the file turns it into an error that names the place.
class malformed_bytes : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Takes from bytes that are not trusted. Every take throws malformed_bytes when they are too few.
class byte_reader {
 public:
  explicit byte_reader(byte_span bytes) : rest_(bytes) {}

  template <number_on_disk T>
  T take() {
    T value;
    std::memcpy(&value, take_bytes(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string take_text() {
    const byte_span bytes = take_bytes(take<std::uint32_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  byte_span take_bytes(std::uint64_t count) {
    if (count > rest_.size()) throw malformed_bytes("it is too short");
    const byte_span taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  /// Bytes that mean nothing must be zero, so that no damage to them goes unseen.
  void take_zeros(std::uint64_t count) {
    for (const std::byte b : take_bytes(count)) {
      if (b != std::byte{0}) throw malformed_bytes("bytes that must be zero are not");
    }
  }
  byte_span take_rest() { return take_bytes(rest_.size()); }
  /// Throws malformed_bytes if anything is left.
  void finish() const {
    if (!rest_.empty()) throw malformed_bytes("it is too long");
  }

 private:
  byte_span rest_;
};

}  // namespace rubato
