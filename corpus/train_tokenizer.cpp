#include "corpus/train_tokenizer.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "corpus/documents.hpp"
#include "corpus/input_files.hpp"
#include "corpus/sentencepiece.hpp"
#include "corpus/text_source.hpp"

namespace rubato {
namespace {

constexpr std::size_t longest_sentence = 4096;  // bytes; SentencePiece leaves out longer ones

/// The lines of a document, up to the one that brings `taken` to `share`, in bytes; long ones are
/// cut where there is a space.
void add_sentences(std::string_view document, std::uint64_t share, std::uint64_t& taken,
                   std::vector<std::string>& sentences) {
  while (!document.empty() && taken < share) {
    auto end = std::min(document.find('\n'), document.size());
    if (end > longest_sentence) {
      const auto space = document.rfind(' ', longest_sentence);
      if (space != std::string_view::npos && space > 0) end = space;
    }
    if (end > 0 && end <= longest_sentence) sentences.emplace_back(document.substr(0, end));
    const auto past = std::min(std::max<std::size_t>(end, 1), document.size());
    document.remove_prefix(past);
    taken += past;
  }
}

std::vector<std::string> sample_sentences(const tokenizer_training& options) {
  const auto inputs = find_inputs(options.inputs);
  const auto share = (static_cast<std::uint64_t>(options.sample_mib) << 20) / inputs.size();
  std::vector<std::string> sentences;
  for (const auto& input : inputs) {
    text_source source(input.path);
    std::uint64_t taken = 0;
    for (bool more = true; more && taken < share;) {
      const auto block = source.next();
      more = !block.is_last;
      std::uint64_t lines = 0;
      for_each_document(
          block, format_of(input.path),
          [&](std::string_view document) { add_sentences(document, share, taken, sentences); },
          [](const bad_line&) {}, lines);
    }
  }
  return sentences;
}

}  // namespace

std::string train_tokenizer(const tokenizer_training& options) {
  auto sentences = sample_sentences(options);
  std::size_t next = 0;
  return train_sentencepiece(
      [&]() -> std::optional<std::string> {
        if (next == sentences.size()) return std::nullopt;
        return std::exchange(sentences[next++], {});
      },
      options.vocabulary);
}

}  // namespace rubato
