// Reading a token shard: tokens of documents, one after the other, in a file that is mapped into
// memory. Not here: writing one (corpus/shard_writer), and batches (token_dataset).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "data/tokens/mapped_file.hpp"
#include "data/tokens/shard_format.hpp"

namespace rubato {

/// The file is not trusted: header, size and table of checksums are checked at once, each block of
/// 64 KiB when it is first looked at. So opening is quick whatever the size, and damage is told
/// with its place. Thread-safe.
class token_shard {
 public:
  /// Throws usage_error naming the file, the place and what is wrong.
  explicit token_shard(const std::string& path);

  const shard_header& header() const { return header_; }
  std::uint64_t tokens() const { return header_.tokens; }
  std::uint64_t documents() const { return header_.documents; }

  /// Writes the tokens [first, first + count), which must be there, to `into`. Throws run_error
  /// naming file and place if they are damaged or not of the vocabulary, std::out_of_range if they
  /// are not there.
  void read(std::uint64_t first, std::uint64_t count, std::int32_t* into) const;

  struct extent {
    std::uint64_t first = 0;  // token
    std::uint64_t count = 0;
  };
  /// Where a document's tokens lie. Throws like read().
  extent document(std::uint64_t index) const;

  /// Checks all blocks, all ends of documents and all tokens. Throws like read().
  void verify() const;

 private:
  /// Bytes of the body, which is within bounds, checked.
  byte_span body(std::uint64_t offset, std::uint64_t size) const;
  std::uint64_t end_of(std::uint64_t document) const;
  [[noreturn]] void fail(std::uint64_t body_offset, const std::string& reason) const;

  mapped_file file_;
  shard_header header_;
  std::unique_ptr<std::atomic<bool>[]> checked_;  // of each block
};

}  // namespace rubato
