#include "corpus/word_clusters.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "bytes/sha256.hpp"
#include "config/random.hpp"

namespace rubato {
namespace {

constexpr int most_passes = 30;

/// How often the words of each bucket occur.
std::array<std::uint32_t, word_clusters::dimension> count_words(std::string_view document) {
  std::array<std::uint32_t, word_clusters::dimension> counts{};
  std::uint32_t hash = 0;
  const auto end_word = [&] {
    if (hash != 0) ++counts[(hash ^ hash >> 16) * 0x9e3779b1u >> 22];
    hash = 0;
  };
  for (const unsigned char byte : document) {
    const bool is_upper = byte >= 'A' && byte <= 'Z';
    const unsigned char letter = is_upper ? byte + ('a' - 'A') : byte;
    const bool is_word =
        (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter >= 0x80;
    if (is_word) {
      hash = (hash == 0 ? 0x811c9dc5u : hash) ^ letter;  // FNV-1a
      hash *= 0x01000193u;
    } else {
      end_word();
    }
  }
  end_word();
  return counts;
}

}  // namespace

word_clusters::word_clusters(const std::vector<std::string>& sample, std::size_t count,
                             std::uint64_t seed)
    : rarity_(dimension) {
  std::array<double, dimension> documents{};
  for (const auto& text : sample) {
    const auto counts = count_words(text);
    for (std::size_t i = 0; i < dimension; ++i) documents[i] += counts[i] > 0 ? 1.0 : 0.0;
  }
  const auto all = static_cast<double>(sample.size());
  for (std::size_t i = 0; i < dimension; ++i) {
    rarity_[i] = static_cast<float>(std::log((1.0 + all) / (1.0 + documents[i])) + 0.1);
  }
  std::vector<features> points;
  for (const auto& text : sample) points.push_back(features_of(text));

  const auto cosine = [&](const features& f, const std::vector<float>& centre) {
    float sum = 0;
    for (const auto& [bucket, value] : f) sum += value * centre[bucket];
    return sum;
  };
  const auto dense = [&](const features& f) {
    std::vector<float> centre(dimension);
    for (const auto& [bucket, value] : f) centre[bucket] = value;
    return centre;
  };

  // k-means++: the next centre is a point, more likely the further it is from those there are.
  random_generator random(seed, random_stream::data_split);
  std::vector<double> distances(points.size(), 1.0);
  while (centres_.size() < std::min(count, points.size())) {
    double total = 0;
    for (const double d : distances) total += d;
    double target = random.uniform() * total;
    std::size_t chosen = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (distances[i] <= 0) continue;
      chosen = i;
      target -= distances[i];
      if (target < 0) break;
    }
    centres_.push_back(dense(points[chosen]));
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double distance = std::max(0.0, 1.0 - cosine(points[i], centres_.back()));
      distances[i] = centres_.size() == 1 ? distance : std::min(distances[i], distance);
    }
  }

  std::vector<std::size_t> membership(points.size(), centres_.size());
  for (int pass = 0; pass < most_passes; ++pass) {
    bool is_settled = true;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const auto best = nearest(points[i]);
      is_settled = is_settled && best == membership[i];
      membership[i] = best;
    }
    if (is_settled) break;
    std::vector<std::vector<float>> sums(centres_.size(), std::vector<float>(dimension));
    for (std::size_t i = 0; i < points.size(); ++i) {
      for (const auto& [bucket, value] : points[i]) sums[membership[i]][bucket] += value;
    }
    for (std::size_t k = 0; k < sums.size(); ++k) {
      float square = 0;
      for (const float value : sums[k]) square += value * value;
      if (square <= 0) continue;  // nobody's: it stays where it is
      for (float& value : sums[k]) value /= std::sqrt(square);
      centres_[k] = std::move(sums[k]);
    }
  }
}

word_clusters::features word_clusters::features_of(std::string_view document) const {
  const auto counts = count_words(document);
  features result;
  float square = 0;
  for (std::uint32_t i = 0; i < dimension; ++i) {
    if (counts[i] == 0) continue;
    const float value = std::sqrt(static_cast<float>(counts[i])) * rarity_[i];
    square += value * value;
    result.push_back({i, value});
  }
  for (auto& f : result) f.value /= std::sqrt(square);
  return result;
}

std::size_t word_clusters::nearest(const features& f) const {
  std::size_t best = 0;
  float best_cosine = -1;
  for (std::size_t k = 0; k < centres_.size(); ++k) {
    float cosine = 0;
    for (const auto& [bucket, value] : f) cosine += value * centres_[k][bucket];
    if (cosine > best_cosine) {
      best_cosine = cosine;
      best = k;
    }
  }
  return best;
}

std::size_t word_clusters::nearest(std::string_view document) const {
  return nearest(features_of(document));
}

std::string word_clusters::digest() const {
  sha256 digest;
  digest.add(std::as_bytes(std::span(rarity_)));
  for (const auto& centre : centres_) digest.add(std::as_bytes(std::span(centre)));
  return digest.hex();
}

}  // namespace rubato
