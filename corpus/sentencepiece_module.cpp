// The module that is linked to SentencePiece.
#include "corpus/sentencepiece_module.hpp"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstring>
#include <utility>

#include "config/error.hpp"
#include "data/tokens/shard_format.hpp"

namespace rubato {
namespace {

class sentencepiece_tokenizer final : public tokenizer {
 public:
  explicit sentencepiece_tokenizer(std::string model) : model_(std::move(model)) {
    is_usable_ = pieces_.LoadFromSerializedProto(model_).ok() && pieces_.GetPieceSize() > 0;
    if (is_usable_) width_ = token_width_for(vocabulary());
  }

  bool is_usable() const { return is_usable_; }

  std::uint32_t vocabulary() const override {
    return static_cast<std::uint32_t>(pieces_.GetPieceSize());
  }

  std::uint32_t append(std::string_view document, std::vector<std::byte>& tokens) const override {
    // What a piece takes of memory stays there for the next document's: to get it and give it back
    // would be a quarter of the time.
    thread_local sentencepiece::ImmutableSentencePieceText pieces;
    const auto status = pieces_.Encode({document.data(), document.size()}, pieces.mutable_proto());
    if (!status.ok()) throw run_error("SentencePiece cannot encode a text: " + status.ToString());
    const std::size_t count = pieces.pieces_size();
    const bool with_end = pieces_.eos_id() >= 0;
    const auto start = tokens.size();
    tokens.resize(start + (count + (with_end ? 1 : 0)) * width_);
    auto* to = tokens.data() + start;
    const auto put = [&](std::uint32_t id) {  // little-endian: the first bytes are those that count
      std::memcpy(to, &id, width_);
      to += width_;
    };
    for (std::size_t i = 0; i < count; ++i) put(pieces.pieces(static_cast<int>(i)).id());
    if (with_end) put(static_cast<std::uint32_t>(pieces_.eos_id()));
    if (count > kept_pieces) pieces = {};
    return static_cast<std::uint32_t>(count + (with_end ? 1 : 0));
  }

  std::string decode(std::span<const std::int32_t> tokens) const override {
    std::string text;
    const auto status = pieces_.Decode(std::vector<int>(tokens.begin(), tokens.end()), &text);
    if (!status.ok()) throw run_error("SentencePiece cannot decode: " + status.ToString());
    return text;
  }

  std::string_view model() const override { return model_; }

 private:
  static constexpr std::size_t kept_pieces = 1 << 16;  // some 10 MB a thread

  std::string model_;
  sentencepiece::SentencePieceProcessor pieces_;
  bool is_usable_ = false;
  std::uint32_t width_ = 0;
};

class line_iterator final : public sentencepiece::SentenceIterator {
 public:
  explicit line_iterator(const std::function<std::optional<std::string>()>& next_line)
      : next_line_(next_line), line_(next_line()) {}

  bool done() const override { return !line_; }
  void Next() override { line_ = next_line_(); }
  const std::string& value() const override { return *line_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::function<std::optional<std::string>()>& next_line_;
  std::optional<std::string> line_;
};

class module final : public sentencepiece_module {
 public:
  std::unique_ptr<tokenizer> load(std::string model) const override {
    auto made = std::make_unique<sentencepiece_tokenizer>(std::move(model));
    if (!made->is_usable()) return nullptr;
    return made;
  }

  std::string train(const std::function<std::optional<std::string>()>& next_line,
                    std::int64_t vocabulary, std::string& fault) const override {
    line_iterator lines(next_line);
    std::string model;
    const auto status = sentencepiece::SentencePieceTrainer::Train(
        {{"model_prefix", ""},
         {"vocab_size", std::to_string(vocabulary)},
         {"model_type", "unigram"},
         {"byte_fallback", "true"},
         {"normalization_rule_name", "identity"},
         {"remove_extra_whitespaces", "false"},
         {"add_dummy_prefix", "false"},
         {"num_threads", "16"},  // not the machine's: sums in training depend on it
         {"minloglevel", "2"}},
        &lines, &model);
    if (status.ok()) return model;
    fault = status.ToString();
    return {};
  }
};

}  // namespace
}  // namespace rubato

const rubato::sentencepiece_module* rubato_sentencepiece_module() {
  static const rubato::module the_module;
  return &the_module;
}
