// Writing a token shard, front to back, without holding it. Not here: reading one (data/tokens).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bytes/sha256.hpp"
#include "data/tokens/shard_format.hpp"
#include "storage/file_io.hpp"

namespace rubato {

/// A new shard that appears at `path` as a whole, in finish(). First all tokens, then the lengths
/// of all documents. One thread at a time. Throws file_error; std::logic_error if what is written
/// is not what `header` announced.
class shard_writer {
 public:
  shard_writer(const std::string& path, const shard_header& header);

  /// Whole tokens of header.token_width bytes each.
  void put_tokens(byte_span tokens);
  /// In tokens, of the documents in order.
  void put_lengths(std::span<const std::uint32_t> lengths);
  /// Returns the SHA-256 of the file, in hexadecimal.
  std::string finish();

 private:
  void put_body(byte_span bytes);
  void write(byte_span bytes);

  shard_header header_;
  std::unique_ptr<atomic_file> file_;
  sha256 digest_;
  std::vector<std::byte> buffer_;         // not written yet
  std::vector<std::uint32_t> checksums_;  // of the whole blocks so far, ...
  std::uint32_t checksum_ = 0;            // ... and of the one begun
  std::uint64_t body_ = 0;                // bytes so far
  std::uint64_t documents_ = 0;
  std::uint64_t end_ = 0;  // of the latest document, in tokens
};

}  // namespace rubato
