#include "corpus/inspect.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "config/error.hpp"
#include "config/random.hpp"
#include "corpus/tokenizer.hpp"
#include "data/tokens/corpus_files.hpp"

namespace rubato {
namespace {

constexpr std::uint64_t most_lengths = 1'000'000;
constexpr std::uint64_t sample_tokens = 100;

length_statistics lengths_of(const token_shard& shard) {
  const auto step = (shard.documents() + most_lengths - 1) / most_lengths;
  std::vector<std::uint64_t> lengths;
  for (std::uint64_t i = 0; i < shard.documents(); i += step) {
    lengths.push_back(shard.document(i).count);
  }
  std::sort(lengths.begin(), lengths.end());
  const auto at = [&](double share) {
    return lengths[static_cast<std::size_t>(share * static_cast<double>(lengths.size() - 1))];
  };
  return {lengths.front(), at(0.5), at(0.95), lengths.back()};
}

}  // namespace

corpus_inspection inspect_corpus(const std::string& folder, std::int64_t samples, bool verify) {
  corpus_inspection result;
  result.corpus = read_manifest(folder);
  const auto& m = result.corpus;
  const auto tokens = make_tokenizer(m.tokenizer == "bytes"
                                         ? m.tokenizer
                                         : (std::filesystem::path(folder) / m.tokenizer).string());
  if (tokens->vocabulary() != m.vocabulary) {
    throw usage_error(fmt::format("{}: the tokenizer {} has {} tokens, the corpus {}", folder,
                                  m.tokenizer, tokens->vocabulary(), m.vocabulary));
  }
  for (std::size_t i = 0; i < m.shards.size(); ++i) {
    const auto training = open_part(folder, m, m.shards[i].training);
    const auto held_out = open_part(folder, m, m.shards[i].held_out);
    if (verify) {
      training.verify();
      held_out.verify();
    }
    auto& shard = result.shards.emplace_back();
    shard.lengths = lengths_of(training);
    random_generator random(0, random_stream::data_split, {i});
    for (std::int64_t s = 0; s < samples; ++s) {
      const auto [first, count] = training.document(random.below(training.documents()));
      std::vector<std::int32_t> some(std::min(count, sample_tokens));
      training.read(first, some.size(), some.data());
      shard.samples.push_back(tokens->decode(some));
    }
  }
  return result;
}

}  // namespace rubato
