// The simplest language models, to judge a trained one by: they predict a byte from the zero, one
// or two bytes before it. Not here: how shards are weighted (text_dataset).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "data/dataset.hpp"

namespace rubato {

/// Counts of bytes after every context of up to two bytes, smoothed by interpolation with the next
/// shorter context (Witten and Bell 1991, method C):
///   P(x | h) = (n(h, x) + d(h) P(x | h')) / (n(h) + d(h)),
/// d(h) the number of different bytes seen after h, h' = h without its first byte, and 1/256 below
/// the empty context.
class byte_ngram {
 public:
  static constexpr std::size_t longest_context = 2;

  byte_ngram();

  /// Adds a text; each byte counts `weight` times (> 0).
  void learn(std::string_view text, double weight = 1.0);

  /// P(byte | history), > 0; of the history, only the last `longest_context` bytes matter. Sums to
  /// 1 over the 256 bytes.
  double probability(std::string_view history, unsigned char byte) const;

 private:
  struct successors {
    std::array<double, 256> count{};
    double total = 0;
    double different = 0;
  };
  // followers_[k][h]: what comes after the context h of k bytes; null if it never occurs.
  std::array<std::vector<std::unique_ptr<successors>>, longest_context + 1> followers_;
};

/// Mean of -log2 P over every byte that the batches (of byte tokens) ask a model to predict, where
/// `model` sees the `context` bytes before it that are in the same window, or all there are.
double bits_per_byte(const byte_ngram& model, const std::vector<batch>& batches,
                     std::size_t context);

}  // namespace rubato
