// What an input file became: an intermediate file of a corpus that is being prepared. One that is
// whole also says that its input is done. Not here: what is done with it (prepare).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corpus/documents.hpp"
#include "data/tokens/mapped_file.hpp"
#include "storage/file_system.hpp"

namespace rubato {

/// Consecutive documents of an input that go to the same token shard.
struct part_chunk {
  std::vector<std::uint32_t> lengths;  // in tokens
  std::vector<std::byte> tokens;
  std::uint64_t text_bytes = 0;
};

/// What there is to know of a part beside its tokens.
struct part_summary {
  line_counts counts;
  std::vector<bad_line> bad_lines;  // the first ones
};

/// Writes over what is there. Nothing waits for the disk: a part that a kill or a power cut has
/// left unfinished is told by its end and checksum, and made again. Throws file_error.
class part_writer {
 public:
  explicit part_writer(const std::string& path);

  void put(std::uint32_t target, const part_chunk& chunk);
  void finish(const part_summary& summary);

 private:
  void write(std::span<const byte_span> pieces);

  std::unique_ptr<writable_file> file_;
  std::uint32_t checksum_ = 0;  // of all so far
};

/// Whether there is a part that was finished, and nothing has happened to it.
bool is_whole_part(const std::string& path);

/// Reads a part that is whole. Throws run_error naming the file if it is something else.
class part_reader {
 public:
  explicit part_reader(const std::string& path);

  const part_summary& summary() const { return summary_; }

  struct chunk {
    std::uint32_t target = 0;
    std::uint64_t text_bytes = 0;
    std::span<const std::uint32_t> lengths;
    byte_span tokens;
  };
  /// In the order in which they were put.
  const std::vector<chunk>& chunks() const { return chunks_; }

 private:
  mapped_file file_;
  part_summary summary_;
  std::vector<chunk> chunks_;
};

}  // namespace rubato
