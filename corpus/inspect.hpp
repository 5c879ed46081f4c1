// Looking into a corpus: how long its documents are, how far they were compressed, what they say.
// Not here: how that is printed (app/data).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/tokens/manifest.hpp"

namespace rubato {

/// Of documents, in tokens.
struct length_statistics {
  std::uint64_t shortest = 0;
  std::uint64_t median = 0;
  std::uint64_t most = 0;  // 95 of 100 are not longer
  std::uint64_t longest = 0;
};

struct shard_inspection {
  length_statistics lengths;         // of the documents to train on; of a million at most
  std::vector<std::string> samples;  // beginnings of documents to train on, decoded
};

struct corpus_inspection {
  manifest corpus;
  std::vector<shard_inspection> shards;
};

/// Opens all shards of the corpus, with `verify` also reads all of them. Throws usage_error or
/// run_error naming the file: missing, damaged, or not what the manifest says.
corpus_inspection inspect_corpus(const std::string& folder, std::int64_t samples, bool verify);

}  // namespace rubato
