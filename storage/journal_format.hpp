// The frame of a journal on the disk: names of segments, header and checksum of a record. For
// journal_writer and journal_reader (and whoever tests them); docs/formats.md has the bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "bytes/bytes.hpp"
#include "storage/file_header.hpp"
#include "storage/journal_records.hpp"

namespace rubato {

/// Segments are numbered without gaps; the header's `record` is the number of the first one in it.
inline constexpr file_format segment_format{"RUBATO-J", "a segment of a journal", 1};
inline constexpr std::string_view segment_suffix = ".journal";

struct record_header {
  static constexpr std::size_t size = 32;

  std::uint64_t length = 0;  // of the content, in bytes
  std::uint64_t number = 0;  // they count through all segments without gaps
  /// The number of the first record that was not on the disk for certain when this one was written:
  /// proof that those before it once were.
  std::uint64_t durable_before = 0;
  record_type type = record_type::note;

  bool operator==(const record_header&) const = default;
};

std::array<std::byte, record_header::size> encode(const record_header& header);
/// Nothing if the checksum is wrong.
std::optional<record_header> decode_record_header(
    std::span<const std::byte, record_header::size> bytes);

/// Records begin at multiples of this.
inline constexpr std::size_t record_alignment = 8;

/// No content is longer than this, which keeps sums of sizes from overflowing.
inline constexpr std::uint64_t largest_content = std::uint64_t{1} << 40;

/// What follows the content: zeros up to the checksum, which ends where the next record begins.
constexpr std::size_t record_tail_size(std::uint64_t length) {
  return round_up(length + sizeof(std::uint32_t), record_alignment) - length;
}

/// Of the whole record.
constexpr std::uint64_t record_size(std::uint64_t length) {
  return record_header::size + length + record_tail_size(length);
}

}  // namespace rubato
