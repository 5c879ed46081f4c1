// From tokens, as they come, to text that can be shown: whole characters, valid UTF-8, nothing that
// a terminal would take for a command.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "corpus/tokenizer.hpp"

namespace rubato {

/// One text. One thread at a time.
class text_stream {
 public:
  /// The text goes on from these tokens, which are not shown: SentencePiece spells the first piece
  /// of a text otherwise than a later one.
  text_stream(const tokenizer& pieces, std::span<const std::int32_t> before);

  /// The text that is complete with this token; nothing in the middle of a character. What is not
  /// UTF-8, and control characters but line feed and tab, become U+FFFD.
  std::string push(std::int32_t token);

  /// What push() still holds back; the text has ended.
  std::string finish();

 private:
  /// The longest beginning of bytes_ that can be shown, which is taken from it; all, if `to_end`.
  std::string take_whole_characters(bool to_end);

  const tokenizer& pieces_;
  std::vector<std::int32_t> before_;   // tokens just before ...
  std::vector<std::int32_t> waiting_;  // ... these, whose text may depend on the next one
  std::string bytes_;                  // decoded, but in the middle of a character
};

}  // namespace rubato
