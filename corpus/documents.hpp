// From lines of an input file to documents: JSON Lines or plain text. Not here: reading the file
// (text_source), tokens (tokenizer).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "corpus/text_source.hpp"

namespace rubato {

enum class text_format { plain, json_lines };

/// .json, .jsonl and .ndjson are JSON Lines, with or without .gz; all else is plain text.
text_format format_of(std::string_view path);

struct bad_line {
  std::uint64_t line = 0;  // from 1
  std::string reason;
};

/// What was found in some lines.
struct line_counts {
  std::uint64_t lines = 0;  // that are not blank
  std::uint64_t documents = 0;
  std::uint64_t empty = 0;  // documents without text, which are left out
  std::uint64_t bad = 0;    // lines that are not what they should be, which are left out
  std::uint64_t text_bytes = 0;

  void add(const line_counts& other);
};

/// Calls `use` for each document of a block that is not empty, in order, and `refuse` for each bad
/// line, numbered from 1 in the block. Returns what it found, and the number of all its lines in
/// `all_lines`.
///
/// JSON Lines: a line is an object whose member "text" is a document; blank lines do not count.
/// Plain text: a file is a document; of a longer one than text_source::block_size each block, which
/// ends where a line ends. Text must be UTF-8. Thread-safe.
line_counts for_each_document(const text_block& block, text_format format,
                              const std::function<void(std::string_view)>& use,
                              const std::function<void(bad_line)>& refuse,
                              std::uint64_t& all_lines);

}  // namespace rubato
