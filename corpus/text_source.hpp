// The text of an input file, gzip'd or not, in blocks that end where a line ends. Not here: what is
// in the lines (documents).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace rubato {

/// Whole lines of a file. Behind the text there are `padding` bytes that may be read.
class text_block {
 public:
  static constexpr std::size_t padding = 64;

  text_block() = default;
  explicit text_block(std::size_t capacity)
      : bytes_(std::make_unique_for_overwrite<char[]>(capacity + padding)), capacity_(capacity) {}

  char* data() { return bytes_.get(); }
  std::size_t capacity() const { return capacity_; }
  std::string_view text() const { return {bytes_.get(), size}; }

  std::size_t size = 0;
  bool is_too_long = false;  // in place of a line of more than text_source::longest_line bytes
  bool is_first = false;     // of its file ...
  bool is_last = false;      // ... and the last

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
};

/// Reads a file from its beginning to its end, in bounded memory. A name that ends in .gz is
/// inflated, of however many members. One thread at a time.
class text_source {
 public:
  static constexpr std::size_t block_size = 1 << 20;
  static constexpr std::size_t longest_line = 64 << 20;

  /// Throws usage_error naming the file if it cannot be read.
  explicit text_source(const std::string& path);
  ~text_source();

  /// The next block, of about block_size bytes, or more if a line is longer. An empty one is the
  /// last. Throws usage_error naming file and place for gzip data that is damaged or ends early.
  text_block next();

  /// Bytes of the file that were read.
  std::uint64_t position() const;

 private:
  struct input;

  /// Fills `block` from its size on; returns false at the end of the file.
  bool fill(text_block& block);
  void skip_line();

  std::unique_ptr<input> input_;
  text_block rest_;  // read, but of the next block
  bool is_at_end_ = false;
  bool has_begun_ = false;
};

}  // namespace rubato
