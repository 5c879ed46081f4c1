#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "config/error.hpp"
#include "corpus/prepare.hpp"
#include "corpus/tokenizer.hpp"
#include "corpus/train_tokenizer.hpp"
#include "data/tokens/token_shard.hpp"
#include "tests/data/temporary_folder.hpp"

using namespace rubato;
using rubato::test::temporary_folder;
using rubato::test::words;

namespace {

std::vector<std::int32_t> tokens_of(const tokenizer& t, const std::string& text) {
  std::vector<std::byte> bytes;
  const auto count = t.append(text, bytes);
  const auto width = token_width_for(t.vocabulary());
  REQUIRE(bytes.size() == count * width);
  std::vector<std::int32_t> tokens(count);
  for (std::size_t i = 0; i < count; ++i) std::memcpy(&tokens[i], bytes.data() + i * width, width);
  return tokens;
}

}  // namespace

TEST_CASE("a SentencePiece model is trained the same each time, and loses nothing of any text") {
  const temporary_folder folder;
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += "the cat sees " + std::to_string(i) + " dogs near the river\nand sleeps\n\n";
  }
  folder.write("in/a.txt", text);
  folder.write("in/b.jsonl", "{\"text\":\"the dogs see the cat\"}\nbad\n");
  const tokenizer_training training{{folder / "in"}, 320, 1};
  const auto model = train_tokenizer(training);
  CHECK(train_tokenizer(training) == model);

  const auto t = make_tokenizer(folder.write("t.model", model));
  CHECK(t->vocabulary() == 320);
  CHECK(t->model() == model);
  for (const std::string some : {"the cat sleeps", " two  spaces, a\ttab and\r\nlines \n\n",
                                 "caf\xc3\xa9 \xe6\x97\xa5", "\n", "no piece: {}[]~"}) {
    const auto tokens = tokens_of(*t, some);
    CHECK(t->decode(tokens) == some);
  }
  CHECK(tokens_of(*t, "the cat sees the river").size() < 22);              // bytes
  CHECK(tokens_of(*t, "the cat").back() == tokens_of(*t, "dogs").back());  // the end of a document

  prepare_options options;
  options.inputs = {folder / "in"};
  options.output = folder / "out";
  options.tokenizer = folder / "t.model";
  options.held_out = 0.5;
  options.max_bad_lines = 0.5;
  options.seed = 3;
  const auto m = prepare_corpus(options).corpus;
  CHECK(m.vocabulary == 320);
  CHECK(m.tokenizer == "tokenizer.model");
  CHECK(make_tokenizer(folder / "out/tokenizer.model")->model() == model);
}

TEST_CASE("a tokenizer is trained on no more of a file than its share") {
  const temporary_folder folder;
  std::string text;
  for (int i = 0; text.size() < 600'000; ++i) {
    text += "the cat sees " + std::to_string(i) + " dogs near the river\n";
  }
  folder.write("in/b.txt", text);
  for (int i = 0; i < 20'000; ++i) text += "\xc3\xa9t\xc3\xa9\n";
  folder.write("in/a.txt", text);
  const auto tokens_of_letter = [&](const std::string& inputs) {
    const auto model = train_tokenizer({{folder / inputs}, 320, 1});
    return tokens_of(*make_tokenizer(folder.write("t.model", model)), "\xc3\xa9").size();
  };
  CHECK(tokens_of_letter("in/a.txt") == 2);  // itself and the end of a document
  CHECK(tokens_of_letter("in") == 3);        // its bytes, for it comes after the half of 1 MiB
}

TEST_CASE("too little text for a vocabulary is told in a line") {
  const temporary_folder folder;
  folder.write("a.txt", "so little\n");
  std::string message;
  try {
    train_tokenizer({{folder / "a.txt"}, 32000, 1});
  } catch (const usage_error& error) {
    message = error.what();
  }
  CHECK(message.starts_with("cannot train a tokenizer of 32000 pieces: "));
  CHECK(message.find('\n') == std::string::npos);
}
