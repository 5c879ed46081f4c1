// Training a tokenizer on the text of input files. Not here: the training as such (sentencepiece).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rubato {

struct tokenizer_training {
  std::vector<std::string> inputs;  // files and folders
  std::int64_t vocabulary = 32000;
  std::int64_t sample_mib = 64;  // of text at most: an equal share from the beginning of each file
};

/// Returns the bytes of a SentencePiece model. The same files give the same bytes. Takes about 20
/// bytes of memory for each byte of the sample. Throws usage_error: input that is missing,
/// unreadable or damaged, or too little text for the vocabulary.
std::string train_tokenizer(const tokenizer_training& options);

}  // namespace rubato
