// The first 64 bytes of every file of journal and checkpoints, and the checksum that closes a
// header. docs/formats.md has the bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bytes/bytes.hpp"
#include "storage/file_system.hpp"
#include "storage/run_identity.hpp"

namespace rubato {

/// A format and the version of it that this program reads and writes.
struct file_format {
  std::string_view magic;  // 8 letters
  std::string_view name;   // "a segment of a journal"
  std::uint32_t version = 1;
};

struct file_header {
  static constexpr std::size_t size = 64;

  run_identity run;
  std::uint64_t number = 0;  // of the file among its like
  std::uint64_t record = 0;  // of the journal: a segment's first; the first not in a checkpoint

  bool operator==(const file_header&) const = default;
};

std::array<std::byte, file_header::size> encode(const file_format& format,
                                                const file_header& header);
/// Throws file_error naming `path` and what is wrong: another format, damaged, a version unknown
/// here.
file_header read_file_header(const file_format& format, readable_file& file, std::string_view path);

/// The error of damage at a place in a file, told in the same way everywhere.
[[noreturn]] void fail_at(std::string_view path, std::uint64_t offset, std::string_view reason);

/// Puts the CRC32C of all that is there behind it.
void seal(std::vector<std::byte>& header);
/// Whether the last four bytes are the CRC32C of those before. At least four are needed.
bool seal_holds(byte_span header);

}  // namespace rubato
