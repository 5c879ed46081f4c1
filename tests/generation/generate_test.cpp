#include "generation/generate.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/error.hpp"

using namespace rubato;

namespace {

/// A model of bytes that knows one word by heart, and after it the end of a document.
class parrot {
 public:
  explicit parrot(std::string word) : word_(std::move(word)) {}

  std::span<const float> read(std::span<const std::int32_t> tokens) {
    reads.emplace_back(tokens.begin(), tokens.end());
    logits_.assign(256, 0.0F);
    const auto next = said_ < word_.size() ? static_cast<unsigned char>(word_[said_]) : 0;
    logits_.at(next) = certainty;
    said_ += 1;
    return logits_;
  }

  float certainty = 100.0F;
  std::vector<std::vector<std::int32_t>> reads;

 private:
  std::string word_;
  std::size_t said_ = 0;
  std::vector<float> logits_;
};

struct outcome {
  generation_result result;
  std::string text;
  std::vector<std::vector<std::int32_t>> reads;
};

outcome generated(parrot model, const generation_options& options) {
  const auto pieces = make_tokenizer("bytes");
  outcome o;
  o.result = generate([&](auto tokens) { return model.read(tokens); }, *pieces, options,
                      [&](std::string_view text) { o.text += text; });
  o.reads = model.reads;
  return o;
}

/// Ends no documents.
class endless final : public tokenizer {
 public:
  std::uint32_t vocabulary() const override { return 2; }
  std::uint32_t append(std::string_view document, std::vector<std::byte>& tokens) const override {
    tokens.insert(tokens.end(), document.size(), std::byte{1});
    return static_cast<std::uint32_t>(document.size());
  }
  std::string decode(std::span<const std::int32_t> tokens) const override {
    return std::string(tokens.size(), 'x');
  }
  std::string_view model() const override { return {}; }
};

}  // namespace

TEST_CASE("the prompt is read at once and each token that is drawn once, until the document ends") {
  const auto o = generated(parrot("ta\xc3\xa9"), {.prompt = "ru"});
  CHECK(o.text == "ta\xc3\xa9");
  CHECK(o.result.tokens == 4);
  CHECK(o.result.ended);
  CHECK(o.reads ==
        std::vector<std::vector<std::int32_t>>{{'r', 'u'}, {'t'}, {'a'}, {0xc3}, {0xa9}});
}

TEST_CASE("it stops after the tokens that were asked for, and shows what there is of a character") {
  const auto o = generated(parrot("ta\xc3\xa9"), {.prompt = "ru", .tokens = 3});
  CHECK(o.text == "ta\xef\xbf\xbd");
  CHECK(o.result.tokens == 3);
  CHECK_FALSE(o.result.ended);
  CHECK(o.reads.size() == 3);  // nobody wants what would follow the last one
}

TEST_CASE("without a prompt a document begins, behind the end of another one") {
  const auto o = generated(parrot("new"), {});
  CHECK(o.text == "new");
  CHECK(o.reads.front() == std::vector<std::int32_t>{0});
}

TEST_CASE("the seed decides") {
  parrot unsure("some text that is long enough for many draws");
  unsure.certainty = 4.0F;
  const auto text = [&](std::uint64_t seed) {
    return generated(unsure, {.tokens = 40, .seed = seed}).text;
  };
  CHECK(text(1) == text(1));
  CHECK(text(1) != text(2));
}

TEST_CASE("a tokenizer that ends no documents needs a prompt, all of which is read") {
  const endless pieces;
  std::vector<std::int32_t> first;
  const std::vector<float> logits{0.0F, 1.0F};
  const token_reader read = [&](std::span<const std::int32_t> tokens) {
    if (first.empty()) first.assign(tokens.begin(), tokens.end());
    return std::span(logits);
  };
  CHECK_THROWS_AS(generate(read, pieces, {}, [](auto) {}), usage_error);
  const auto result = generate(read, pieces, {.prompt = "abc", .tokens = 5}, [](auto) {});
  CHECK(first.size() == 3);
  CHECK(result.tokens == 5);
}
