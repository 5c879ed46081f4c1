#include "data/tokens/token_dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "config/error.hpp"
#include "data/tokens/corpus_files.hpp"

namespace rubato {
namespace {

/// Rows from each of these places on, going round at the end of the tokens.
batch read_rows(const token_shard& shard, std::span<const std::uint64_t> starts,
                std::int64_t length) {
  batch result{static_cast<std::int64_t>(starts.size()), length};
  const auto row = static_cast<std::uint64_t>(length) + 1;
  result.tokens.resize(starts.size() * row);
  auto* into = result.tokens.data();
  for (auto start : starts) {
    for (std::uint64_t left = row; left > 0;) {
      const auto count = std::min(left, shard.tokens() - start);
      shard.read(start, count, into);
      into += count;
      left -= count;
      start = 0;
    }
  }
  return result;
}

/// As many as are wanted and there are, for held_out().
std::vector<batch> read_held_out(const token_shard& shard, const window_plan& plan,
                                 std::int64_t most_batches) {
  const auto starts = held_out_windows(plan, shard.tokens(), most_batches);
  std::vector<batch> batches;
  for (std::size_t first = 0; first < starts.size(); first += plan.batch_size) {
    const auto rows = std::min<std::size_t>(starts.size() - first, plan.batch_size);
    batches.push_back(read_rows(shard, std::span(starts).subspan(first, rows), plan.length));
  }
  return batches;
}

/// With each document's end.
std::uint64_t size_of(const manifest_part& part) {
  return part.text_bytes + part.documents;
}

}  // namespace

token_dataset::token_dataset(const config& c, data_use use)
    : plan_{static_cast<std::uint64_t>(c.run.seed), c.data.batch_size, c.model.sequence_length} {
  if (c.data.paths.size() != 1 || c.data.paths[0].size() != 1) {
    throw usage_error("data.paths must name one folder that `rubato data prepare` has made");
  }
  const auto& folder = c.data.paths[0][0];
  corpus_ = read_manifest(folder);
  const auto shards = static_cast<std::int64_t>(corpus_.shards.size());
  if (c.data.shard_sampling == "fixed" && c.workers.count < shards) {
    throw usage_error(
        fmt::format("data.shard_sampling = \"fixed\" with workers.count = {} would never train on "
                    "the rest of the {} shards in {}; use \"balanced\" or more workers",
                    c.workers.count, shards, folder));
  }
  std::uint64_t held_out_bytes = 0;
  std::uint64_t held_out_tokens = 0;
  for (const auto& shard : corpus_.shards) {
    const auto enough = [&](const manifest_part& part, const char* how) {
      if (part.tokens > static_cast<std::uint64_t>(plan_.length)) return;
      throw usage_error(fmt::format(
          "data.paths: {} in {} has {} tokens, but one sequence takes {} (model.sequence_length + "
          "1); set it lower, or prepare the corpus with {}",
          part.file, folder, part.tokens, plan_.length + 1, how));
    };
    enough(shard.training, "fewer --shards");
    enough(shard.held_out, "a higher --held-out or fewer --shards");
    held_out_bytes += size_of(shard.held_out);
    held_out_tokens += shard.held_out.tokens;

    std::vector<batch> batches;
    if (use == data_use::all) {
      const auto held_out = open_part(folder, corpus_, shard.held_out);
      batches = read_held_out(held_out, plan_, c.evaluate.batches);
    }
    shard_info info{shard.name, shard.files, 0, size_of(shard.training), size_of(shard.held_out)};
    auto training = open_part(folder, corpus_, shard.training);
    shards_.push_back({std::move(info), std::move(training), std::move(batches)});
  }
  bytes_per_token_ = static_cast<double>(held_out_bytes) / static_cast<double>(held_out_tokens);
}

batch token_dataset::training_batch(std::size_t shard, std::uint64_t position) const {
  const auto& tokens = shards_.at(shard).training;
  return read_rows(tokens, training_windows(plan_, tokens.tokens(), shard, position), plan_.length);
}

}  // namespace rubato
