#include "generation/text_stream.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "corpus/sentencepiece.hpp"
#include "tests/data/temporary_folder.hpp"

using namespace rubato;
using rubato::test::temporary_folder;

namespace {

/// What each byte of a text brings, and what is left at the end.
std::vector<std::string> pieces_of(const std::string& bytes) {
  const auto tokenizer = make_tokenizer("bytes");
  text_stream stream(*tokenizer, {});
  std::vector<std::string> pieces;
  for (const unsigned char byte : bytes) pieces.push_back(stream.push(byte));
  pieces.push_back(stream.finish());
  return pieces;
}

std::string shown(const std::string& bytes) {
  std::string text;
  for (const auto& piece : pieces_of(bytes)) text += piece;
  return text;
}

using texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a character comes with its last byte") {
  CHECK(pieces_of("a\xc3\xa9") == texts{"a", "", "\xc3\xa9", ""});
  CHECK(pieces_of("\xe2\x82\xac!") == texts{"", "", "\xe2\x82\xac", "!", ""});
  CHECK(pieces_of("\xf0\x9f\x98\x80") == texts{"", "", "", "\xf0\x9f\x98\x80", ""});
}

TEST_CASE("what is not UTF-8 becomes U+FFFD, once for each longest part that could have been") {
  // Table 3-8 to 3-11 of the Unicode Standard, with X for U+FFFD.
  const auto with_x = [](std::string_view text) {
    std::string result;
    while (!text.empty()) {
      const bool is_x = text.starts_with("\xef\xbf\xbd");
      result += is_x ? 'X' : text.front();
      text.remove_prefix(is_x ? 3 : 1);
    }
    return result;
  };
  CHECK(with_x(shown("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41")) == "XXXXXXXXA");
  CHECK(with_x(shown("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41")) == "XXXXXXXXA");
  CHECK(with_x(shown("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42")) == "XXXXXAXXB");
  CHECK(with_x(shown("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41")) == "XXXXA");
  CHECK(with_x(shown("end\xe2\x82")) == "endX");
  CHECK(with_x(shown("\x1b[31m\r\x7f\xc2\x9b tab\tline\n")) == "X[31mXXX tab\tline\n");
}

TEST_CASE("pieces of SentencePiece give the text that decoding all of them gives") {
  const temporary_folder folder;
  int line = 0;
  const auto model = train_sentencepiece(
      [&]() -> std::optional<std::string> {
        if (++line > 400) return {};
        return "the cat sees " + std::to_string(line) + " dogs near the river";
      },
      320);
  const auto tokenizer = make_tokenizer(folder.write("t.model", model));
  std::vector<std::byte> bytes;
  const std::string text = " the cat \xf0\x9f\x98\x80\xc3\xa9 caf\xc3\xa9  the river";
  const auto count = tokenizer->append(text, bytes);
  std::vector<std::int32_t> tokens;
  for (std::uint32_t i = 0; i < count; ++i) {
    tokens.push_back(std::to_integer<std::int32_t>(bytes[2 * i]) |
                     std::to_integer<std::int32_t>(bytes[2 * i + 1]) << 8);
  }
  for (const std::size_t before : {0, 3}) {
    const std::span all(tokens);
    text_stream stream(*tokenizer, all.first(before));
    std::string streamed = tokenizer->decode(all.first(before));
    std::size_t empty = 0;
    for (const auto token : all.subspan(before)) {
      const auto piece = stream.push(token);
      CHECK(piece.find("\xef\xbf\xbd") == std::string::npos);
      empty += piece.empty() ? 1 : 0;
      streamed += piece;
    }
    CHECK(streamed + stream.finish() == text);
    CHECK(empty >= 3 + 1 + 1);  // inside of the characters that no piece has, and the end
  }

  // Half a character, then something else: it is shown in the end, and nothing is lost.
  text_stream stream(*tokenizer, {});
  const auto lead = std::find_if(tokens.begin(), tokens.end(), [&](std::int32_t token) {
    return tokenizer->decode(std::vector{token}) == "\xef\xbf\xbd";
  });
  REQUIRE(lead != tokens.end());
  CHECK(stream.push(*lead) == "");
  const auto rest = stream.push(tokens.front());
  CHECK(rest == "\xef\xbf\xbd" + tokenizer->decode(std::vector{*lead, tokens.front()}).substr(3));
}
