#include "generation/generate.hpp"

#include <cstring>
#include <optional>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "data/tokens/shard_format.hpp"
#include "generation/text_stream.hpp"

namespace rubato {
namespace {

/// The tokens of a whole document, its end included.
std::vector<std::int32_t> tokens_of(const tokenizer& pieces, std::string_view document) {
  std::vector<std::byte> bytes;
  std::vector<std::int32_t> tokens(pieces.append(document, bytes));
  const auto width = token_width_for(pieces.vocabulary());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::memcpy(&tokens[i], bytes.data() + i * width, width);
  }
  return tokens;
}

}  // namespace

generation_result generate(const token_reader& read, const tokenizer& pieces,
                           const generation_options& options,
                           const std::function<void(std::string_view)>& show) {
  // Nothing but the end is what an empty document has.
  const auto empty = tokens_of(pieces, "");
  const auto end = empty.empty() ? std::optional<std::int32_t>{} : empty.back();
  auto prompt = tokens_of(pieces, options.prompt);
  if (end && prompt.size() > 1) prompt.pop_back();
  if (prompt.empty()) {
    throw usage_error(
        "the model's tokenizer has no token between documents to begin with; give a prompt");
  }

  random_generator random(options.seed, random_stream::generation);
  text_stream text(pieces, prompt);
  generation_result result;
  auto logits = read(prompt);
  while (result.tokens < options.tokens) {
    const std::int32_t token = sample_token(logits, options.how, random.uniform());
    result.ended = token == end;
    if (result.ended) break;
    result.tokens += 1;
    show(text.push(token));
    if (result.tokens < options.tokens) logits = read({&token, 1});
  }
  show(text.finish());
  return result;
}

}  // namespace rubato
