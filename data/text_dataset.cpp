#include "data/text_dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "config/random.hpp"
#include "data/near_duplicates.hpp"
#include "data/ngram.hpp"
#include "data/text_files.hpp"

namespace rubato {
namespace {

struct document {
  std::uint64_t hash = 0;  // of the text; also the order in which documents are held out
  std::string text;

  /// Bytes it takes in a shard's text, with the zero byte after it.
  std::uint64_t size() const { return text.size() + 1; }
};

using documents = std::vector<document>;

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t fnv = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const unsigned char byte : text) fnv = (fnv ^ byte) * 0x100000001b3ULL;
  // Seed 0 rather than the run's: runs with different seeds must share their held-out text.
  return random_generator(0, random_stream::held_out_split, {fnv})();
}

documents read_documents(const std::vector<std::string>& entries, std::size_t shard) {
  documents result;
  const auto where = paths_of_shard(shard);
  for (const auto& path : find_files(entries, where)) {
    auto text = read_file(path, where);
    const auto hash = hash_of(text);
    result.push_back({hash, std::move(text)});
  }
  return result;
}

// Takes the near-duplicates out of all shards. Longest first, so that the fullest of similar
// documents stays.
void leave_out_near_duplicates(std::vector<documents>& shards) {
  struct candidate {
    std::size_t shard;
    document* doc;
  };
  std::vector<candidate> candidates;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    for (auto& doc : shards[i]) candidates.push_back({i, &doc});
  }
  std::sort(candidates.begin(), candidates.end(), [](const candidate& a, const candidate& b) {
    return std::make_tuple(b.doc->size(), a.doc->hash, a.shard) <
           std::make_tuple(a.doc->size(), b.doc->hash, b.shard);
  });
  near_duplicate_filter filter;
  for (const auto& c : candidates) {
    if (!filter.pass(c.doc->text)) c.doc->text.clear();
  }
  for (auto& docs : shards) {
    docs.erase(std::remove_if(docs.begin(), docs.end(),
                              [](const document& doc) { return doc.text.empty(); }),
               docs.end());
  }
}

struct parts {
  std::string training;
  std::string held_out;
};

// Goes through the documents in the order of their hashes and holds out each that brings the
// held-out bytes nearer to `share` of all (or, if none does, the shortest), but never the last that
// is left to train on. There are at least two documents.
parts split(documents docs, double share) {
  std::sort(docs.begin(), docs.end(),
            [](const document& a, const document& b) { return a.hash < b.hash; });
  double total = 0;
  for (const auto& doc : docs) total += static_cast<double>(doc.size());
  const double target = share * total;

  std::vector<bool> is_held_out(docs.size(), false);
  std::size_t to_train_on = docs.size();
  double taken = 0;
  for (std::size_t i = 0; i < docs.size() && to_train_on > 1; ++i) {
    const double with_it = taken + static_cast<double>(docs[i].size());
    if (std::abs(target - with_it) < std::abs(target - taken)) {
      is_held_out[i] = true;
      --to_train_on;
      taken = with_it;
    }
  }
  if (to_train_on == docs.size()) {
    const auto shortest =
        std::min_element(docs.begin(), docs.end(),
                         [](const document& a, const document& b) { return a.size() < b.size(); });
    is_held_out[shortest - docs.begin()] = true;
  }

  parts result;
  result.training.reserve(static_cast<std::size_t>(total));
  for (std::size_t i = 0; i < docs.size(); ++i) {
    auto& part = is_held_out[i] ? result.held_out : result.training;
    part += docs[i].text;
    part += '\0';
    std::string().swap(docs[i].text);  // so that the text is held once, not twice
  }
  return result;
}

// Appends the `length + 1` bytes from `start` on, going round at the end of the text.
void append_window(std::string_view text, std::uint64_t start, std::int64_t length,
                   std::vector<std::int32_t>& tokens) {
  for (std::int64_t i = 0; i <= length; ++i) {
    tokens.push_back(static_cast<unsigned char>(text[start]));
    if (++start == text.size()) start = 0;
  }
}

std::vector<batch> held_out_batches(std::string_view text, const window_plan& plan,
                                    std::int64_t count) {
  std::vector<batch> batches;
  for (const auto start : held_out_windows(plan, text.size(), count)) {
    if (batches.empty() || batches.back().examples == plan.batch_size) {
      batches.push_back({0, plan.length});
    }
    append_window(text, start, plan.length, batches.back().tokens);
    ++batches.back().examples;
  }
  return batches;
}

}  // namespace

text_dataset::text_dataset(const config& c)
    : plan_{static_cast<std::uint64_t>(c.run.seed), c.data.batch_size, c.model.sequence_length} {
  const auto& paths = c.data.paths;
  if (paths.empty()) {
    throw usage_error("data.paths is empty; give one list of files, folders or patterns a shard");
  }
  std::vector<documents> found;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    found.push_back(read_documents(paths[i], i));
    auto name = shard_name(paths[i], i);
    if (std::any_of(shards_.begin(), shards_.end(),
                    [&](const shard_data& other) { return other.info.name == name; })) {
      name += fmt::format(" ({})", i);
    }
    auto& shard = shards_.emplace_back();
    shard.info.name = std::move(name);
    shard.info.files = found.back().size();
  }
  if (c.data.deduplicate) leave_out_near_duplicates(found);

  const auto needed = static_cast<std::uint64_t>(plan_.length) + 1;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    auto& info = shards_[i].info;
    const auto kept = found[i].size();
    info.duplicates = info.files - kept;
    if (kept < 2) {
      throw paths_error(
          paths_of_shard(i),
          info.duplicates == 0
              ? std::string("there is only one file, but at least 2 are needed, as whole files "
                            "are held out; add files or split it into parts")
              : fmt::format("{} of {} files are near-duplicates of others in this or another "
                            "shard, but at least 2 must be left; add files or set "
                            "data.deduplicate = false",
                            info.duplicates, info.files));
    }
    auto [training, held_out] = split(std::move(found[i]), c.data.held_out);
    info.training_size = training.size();
    info.held_out_size = held_out.size();
    const auto too_short = [&](std::string_view part, std::uint64_t bytes, std::string_view how) {
      return paths_error(paths_of_shard(i),
                         fmt::format("the {} text has {} bytes, but one sequence takes {} "
                                     "(model.sequence_length + 1); add files, or set {} or "
                                     "model.sequence_length lower",
                                     part, bytes, needed, how));
    };
    if (training.size() < needed) {
      throw too_short("training", training.size(), "data.held_out");
    }
    if (held_out.size() < needed) {
      throw too_short("held-out", held_out.size(), "data.held_out higher");
    }
    shards_[i].held_out = held_out_batches(held_out, plan_, c.evaluate.batches);
    shards_[i].training = std::move(training);
    total_size_ += static_cast<double>(info.training_size);
  }
  weights_ = shard_weights(c, *this);
}

std::uint64_t text_dataset::shard_size(std::size_t shard) const {
  return shards_.at(shard).training.size();
}

batch text_dataset::training_batch(std::size_t shard, std::uint64_t position) const {
  const std::string_view text = training_text(shard);
  batch result{plan_.batch_size, plan_.length};
  result.tokens.reserve(static_cast<std::size_t>(plan_.batch_size * (plan_.length + 1)));
  for (const auto start : training_windows(plan_, text.size(), shard, position)) {
    append_window(text, start, plan_.length, result.tokens);
  }
  return result;
}

const std::vector<batch>& text_dataset::held_out(std::size_t shard) const {
  return shards_.at(shard).held_out;
}

std::vector<baseline> text_dataset::baselines() const {
  byte_ngram model;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    // Every byte of a shard counts so much that the shards together count as they are weighted.
    const auto size = static_cast<double>(shards_[i].training.size());
    model.learn(shards_[i].training, weights_[i] * total_size_ / size);
  }
  const auto measure = [&](std::size_t context) {
    double mean = 0;
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      mean += weights_[i] * bits_per_byte(model, shards_[i].held_out, context);
    }
    return mean;
  };
  return {{"unigram", measure(0)}, {"order-2", measure(2)}};
}

}  // namespace rubato
