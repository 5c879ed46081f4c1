// SentencePiece models (Kudo and Richardson 2018): using one, and training one. Not here: which
// text it is trained on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "corpus/tokenizer.hpp"

namespace rubato {

/// Loads a model. Documents end with its end-of-sentence token, if it has one. Throws usage_error
/// naming the file if it is none.
std::unique_ptr<tokenizer> make_sentencepiece(const std::string& path);

/// Trains a unigram model of `vocabulary` pieces on what `next_line` gives until it gives nothing,
/// and returns the bytes of its file. Nothing is normalised, and bytes stand for what no piece
/// covers, so that decoding gives back every text as it was. The same text gives the same model.
/// Throws usage_error if the text is too little for the vocabulary.
std::string train_sentencepiece(const std::function<std::optional<std::string>()>& next_line,
                                std::int64_t vocabulary);

}  // namespace rubato
