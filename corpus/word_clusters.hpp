// Sorting documents by the words that are in them, so that shards differ in what they are about.
// Not here: which documents are looked at, and where they go (prepare).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rubato {

/// A document's features are its words (runs of letters and digits, of any case, and of bytes
/// beyond ASCII), hashed into `dimension` buckets: the square root of how often a bucket's words
/// occur, times the logarithm of how rare they are among the sample's documents; scaled to
/// length 1. Clusters come of spherical k-means (Dhillon and Modha 2001) on the sample, begun by
/// k-means++. The same wherever the C library is the same. Immutable: const members are
/// thread-safe.
class word_clusters {
 public:
  static constexpr std::size_t dimension = 1024;

  /// At most as many clusters as the sample has documents, of which there must be one.
  word_clusters(const std::vector<std::string>& sample, std::size_t count, std::uint64_t seed);

  std::size_t count() const { return centres_.size(); }

  /// Of the cluster whose centre is at the smallest angle; the first of several.
  std::size_t nearest(std::string_view document) const;

  /// What they are known by: SHA-256 of all numbers, in hexadecimal.
  std::string digest() const;

 private:
  struct feature {
    std::uint32_t bucket = 0;
    float value = 0;
  };
  using features = std::vector<feature>;

  features features_of(std::string_view document) const;
  std::size_t nearest(const features& f) const;

  std::vector<float> rarity_;  // of each bucket
  std::vector<std::vector<float>> centres_;
};

}  // namespace rubato
