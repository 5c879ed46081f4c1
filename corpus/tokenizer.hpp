// From text to tokens and back. Not here: training one (sentencepiece), where the tokens go
// (prepare).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bytes/bytes.hpp"

namespace rubato {

/// Thread-safe.
class tokenizer {
 public:
  virtual ~tokenizer() = default;

  /// Different tokens; each is from 0 up to it.
  virtual std::uint32_t vocabulary() const = 0;

  /// Appends the tokens of a document and the one that ends it, each in
  /// token_width_for(vocabulary()) bytes, and returns how many there are.
  virtual std::uint32_t append(std::string_view document, std::vector<std::byte>& tokens) const = 0;

  /// The text of tokens; those that end documents are shown as nothing.
  virtual std::string decode(std::span<const std::int32_t> tokens) const = 0;

  /// The bytes of the file it is made from; empty for bytes.
  virtual std::string_view model() const = 0;
};

/// "bytes", or the path of a SentencePiece model. Throws usage_error naming it.
std::unique_ptr<tokenizer> make_tokenizer(const std::string& name);

}  // namespace rubato
