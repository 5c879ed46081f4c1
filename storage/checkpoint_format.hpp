// The frame of a checkpoint on the disk, for checkpoint_writer and checkpoint_reader (and whoever
// tests them): header | sections | manifest | footer. docs/formats.md has the bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bytes/bytes.hpp"
#include "storage/file_header.hpp"

namespace rubato {

/// The header's `record` is the first record of the journal that is not in the checkpoint.
inline constexpr file_format checkpoint_format{"RUBATO-C", "a checkpoint", 1};
inline constexpr std::string_view checkpoint_suffix = ".checkpoint";

/// Sections and manifest begin at multiples of this.
inline constexpr std::size_t section_alignment = 64;

/// Named bytes in a checkpoint.
struct checkpoint_section {
  std::string name;
  std::uint64_t offset = 0;  // in the file
  std::uint64_t size = 0;    // in bytes
  std::uint32_t checksum = 0;

  bool operator==(const checkpoint_section&) const = default;
};

std::vector<std::byte> encode_manifest(const std::vector<checkpoint_section>& sections);
/// Throws malformed_bytes.
std::vector<checkpoint_section> decode_manifest(byte_span bytes);

/// The last bytes of the file: without them it is not whole.
struct checkpoint_footer {
  static constexpr std::size_t size = 32;

  std::uint64_t manifest_offset = 0;
  std::uint64_t manifest_size = 0;
  std::uint32_t manifest_checksum = 0;
};

std::array<std::byte, checkpoint_footer::size> encode(const checkpoint_footer& footer);
/// Nothing if it is none, or damaged.
std::optional<checkpoint_footer> decode_footer(
    std::span<const std::byte, checkpoint_footer::size> bytes);

}  // namespace rubato
