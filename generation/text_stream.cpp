#include "generation/text_stream.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace rubato {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD
constexpr std::size_t longest_character = 4;              // bytes, and so tokens

struct character {
  std::size_t size = 0;  // bytes that belong together
  bool is_valid = false;
  bool is_cut_short = false;  // more bytes could make it valid
};

/// The first character of `text`, which is not empty. Table 3-7 of the Unicode Standard.
character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    const bool is_control = (lead < 0x20 && lead != '\n' && lead != '\t') || lead == 0x7f;
    return {1, !is_control, false};
  }
  if (lead < 0xc2 || lead > 0xf4) return {1, false, false};
  const std::size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  for (std::size_t i = 1; i < size; ++i) {
    if (i == text.size()) return {i, false, true};
    unsigned char least = 0x80, most = 0xbf;
    if (i == 1) {
      if (lead == 0xe0) least = 0xa0;  // or it would be longer than it has to be
      if (lead == 0xf0) least = 0x90;
      if (lead == 0xed) most = 0x9f;  // no surrogates
      if (lead == 0xf4) most = 0x8f;  // nothing above U+10FFFF
    }
    if (byte(i) < least || byte(i) > most) return {i, false, false};
  }
  const bool is_control = lead == 0xc2 && byte(1) < 0xa0;
  return {size, !is_control, false};
}

}  // namespace

text_stream::text_stream(const tokenizer& pieces, std::span<const std::int32_t> before)
    : pieces_(pieces), before_(before.begin(), before.end()) {}

std::string text_stream::push(std::int32_t token) {
  waiting_.push_back(token);
  auto tokens = before_;
  tokens.insert(tokens.end(), waiting_.begin(), waiting_.end());
  const auto text = pieces_.decode(tokens);
  // SentencePiece decodes the first bytes of a character so; the next token may complete it.
  if (text.ends_with(replacement) && waiting_.size() < longest_character) return {};
  bytes_ += text.substr(std::min(text.size(), pieces_.decode(before_).size()));
  before_ = std::exchange(waiting_, {});
  return take_whole_characters(false);
}

std::string text_stream::finish() {
  auto tokens = before_;
  tokens.insert(tokens.end(), waiting_.begin(), waiting_.end());
  const auto text = pieces_.decode(tokens);
  bytes_ += text.substr(std::min(text.size(), pieces_.decode(before_).size()));
  before_ = std::exchange(waiting_, {});
  return take_whole_characters(true);
}

std::string text_stream::take_whole_characters(bool to_end) {
  std::string text;
  std::string_view rest = bytes_;
  while (!rest.empty()) {
    const auto next = first_character(rest);
    if (next.is_cut_short && !to_end) break;
    text += next.is_valid ? rest.substr(0, next.size) : replacement;
    rest.remove_prefix(next.size);
  }
  bytes_.erase(0, bytes_.size() - rest.size());
  return text;
}

}  // namespace rubato
