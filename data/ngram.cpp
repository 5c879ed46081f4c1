#include "data/ngram.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace rubato {

byte_ngram::byte_ngram() {
  for (std::size_t k = 0; k <= longest_context; ++k) {
    followers_[k].resize(std::size_t{1} << (8 * k));
  }
}

void byte_ngram::learn(std::string_view text, double weight) {
  std::uint32_t history = 0;  // the bytes before, the latest lowest
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    for (std::size_t k = 0; k <= std::min(i, longest_context); ++k) {
      auto& after = followers_[k][history & (followers_[k].size() - 1)];
      if (!after) after = std::make_unique<successors>();
      auto& count = after->count[byte];
      if (count == 0) after->different += 1;
      count += weight;
      after->total += weight;
    }
    history = history << 8 | byte;
  }
}

double byte_ngram::probability(std::string_view history, unsigned char byte) const {
  double result = 1.0 / 256;
  std::uint32_t context = 0;
  for (std::size_t k = 0; k <= std::min(history.size(), longest_context); ++k) {
    if (k > 0) {
      const auto earlier = static_cast<unsigned char>(history[history.size() - k]);
      context |= std::uint32_t{earlier} << (8 * (k - 1));
    }
    const auto& after = followers_[k][context];
    if (!after) break;
    result = (after->count[byte] + after->different * result) / (after->total + after->different);
  }
  return result;
}

double bits_per_byte(const byte_ngram& model, const std::vector<batch>& batches,
                     std::size_t context) {
  double bits = 0;
  std::int64_t predicted = 0;
  for (const auto& b : batches) {
    const auto width = static_cast<std::size_t>(b.length + 1);
    for (std::size_t start = 0; start < b.tokens.size(); start += width) {
      const std::string window(b.tokens.begin() + start, b.tokens.begin() + start + width);
      for (std::size_t i = 1; i < width; ++i) {
        const auto seen = std::min(i, context);
        const auto history = std::string_view(window).substr(i - seen, seen);
        bits -= std::log2(model.probability(history, static_cast<unsigned char>(window[i])));
      }
      predicted += b.length;
    }
  }
  return bits / static_cast<double>(predicted);
}

}  // namespace rubato
