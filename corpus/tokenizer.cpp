#include "corpus/tokenizer.hpp"

#include <fmt/format.h>

#include "config/error.hpp"
#include "corpus/sentencepiece.hpp"

namespace rubato {
namespace {

/// Every byte is a token. A zero byte, which does not occur in text, ends a document.
class byte_tokenizer final : public tokenizer {
 public:
  std::uint32_t vocabulary() const override { return 256; }

  std::uint32_t append(std::string_view document, std::vector<std::byte>& tokens) const override {
    const byte_span bytes = as_bytes(document);
    tokens.insert(tokens.end(), bytes.begin(), bytes.end());
    tokens.push_back(std::byte{0});
    return static_cast<std::uint32_t>(bytes.size() + 1);
  }

  std::string decode(std::span<const std::int32_t> tokens) const override {
    std::string text;
    for (const auto token : tokens) {
      if (token != 0) text += static_cast<char>(token);
    }
    return text;
  }

  std::string_view model() const override { return {}; }
};

}  // namespace

std::unique_ptr<tokenizer> make_tokenizer(const std::string& name) {
  if (name == "bytes") return std::make_unique<byte_tokenizer>();
  return make_sentencepiece(name);
}

}  // namespace rubato
