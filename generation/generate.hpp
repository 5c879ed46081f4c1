// Going on with a text as a language model would: the prompt goes in, tokens are drawn one by one,
// and their text comes out as it is made. Not here: the model, of which this knows one function.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "corpus/tokenizer.hpp"
#include "generation/sampler.hpp"

namespace rubato {

struct generation_options {
  std::string prompt = {};    // empty: a document from its beginning
  std::int64_t tokens = 200;  // at most; fewer if the document ends
  sampling how = {};
  std::uint64_t seed = 1;  // of random_stream::generation
};

struct generation_result {
  std::int64_t tokens = 0;  // that were drawn, without the one that ends a document
  bool ended = false;       // with the end of a document
};

/// Reads tokens, at least one, that follow those read before; returns the logits of the token after
/// them, one for each of the vocabulary, which are there until the next call.
using token_reader = std::function<std::span<const float>(std::span<const std::int32_t>)>;

/// Gives the text that follows the prompt to `show`, piece by piece. The same reader, prompt,
/// options and seed give the same text. Throws usage_error if the prompt is empty and the tokenizer
/// has no token that ends documents, run_error as sample_token(); what these throw is passed on.
generation_result generate(const token_reader& read, const tokenizer& pieces,
                           const generation_options& options,
                           const std::function<void(std::string_view)>& show);

}  // namespace rubato
