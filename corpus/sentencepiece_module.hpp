// What the module with SentencePiece in it offers to the program that loads it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "corpus/tokenizer.hpp"

namespace rubato {

/// Debian's SentencePiece has a copy of Protocol Buffers in it whose symbols are those of the
/// library that LibTorch uses; a program that is linked to both ends before its main() begins. So
/// it is in a module of its own, in which its symbols are looked for there first.
class sentencepiece_module {
 public:
  virtual ~sentencepiece_module() = default;

  /// Null if these are not the bytes of a model.
  virtual std::unique_ptr<tokenizer> load(std::string model) const = 0;

  /// Returns the bytes of a model, or nothing and in `fault` why there is none.
  virtual std::string train(const std::function<std::optional<std::string>()>& next_line,
                            std::int64_t vocabulary, std::string& fault) const = 0;
};

}  // namespace rubato

/// The module's one function; what it returns stays.
extern "C" const rubato::sentencepiece_module* rubato_sentencepiece_module();
