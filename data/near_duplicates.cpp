#include "data/near_duplicates.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace rubato {
namespace {

constexpr std::size_t shingle_length = 8;
constexpr std::uint64_t look_at_one_in = 4;
constexpr double most = 0.6;

// MurmurHash3's finaliser: every bit of the input changes half the bits of the output.
std::uint64_t scramble(std::uint64_t value) {
  value = (value ^ (value >> 33)) * 0xff51afd7ed558ccdULL;
  value = (value ^ (value >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return value ^ (value >> 33);
}

bool is_space(unsigned char byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

// Letters, digits, underscore and everything beyond ASCII; <cctype> would depend on the locale.
bool is_word(unsigned char byte) {
  const unsigned char lower = byte | 0x20;
  return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') || byte == '_' ||
         byte >= 0x80;
}

// The chosen shingles of a text, with repetitions; never empty. Equal texts have equal ones.
std::vector<std::uint64_t> shingles(std::string_view text) {
  constexpr std::uint64_t base = 0x9e3779b97f4a7c15ULL;
  std::uint64_t leaving = 1;  // base to the power of shingle_length
  for (std::size_t i = 0; i < shingle_length; ++i) leaving *= base;

  std::vector<std::uint64_t> chosen;
  std::array<std::uint64_t, shingle_length> window{};  // the last words, as a ring
  std::uint64_t rolling = 0;                           // polynomial hash of the window
  std::uint64_t whole = 0;                             // the same over all words
  std::size_t words = 0;
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char first = text[i++];
    if (is_space(first)) continue;
    std::uint64_t word = first;
    if (is_word(first)) {
      for (; i < text.size() && is_word(text[i]); ++i) {
        word = word * 0x100000001b3ULL + static_cast<unsigned char>(text[i]);
      }
    }
    word = scramble(word);
    auto& oldest = window[words % shingle_length];
    rolling = rolling * base + word - oldest * leaving;
    whole = whole * base + word;
    oldest = word;
    ++words;
    const auto shingle = scramble(rolling);
    if (words >= shingle_length && shingle % look_at_one_in == 0) chosen.push_back(shingle);
  }
  // Too short for a chosen shingle: only an equal text is a duplicate.
  if (chosen.empty()) chosen.push_back(scramble(whole));
  return chosen;
}

}  // namespace

bool near_duplicate_filter::pass(std::string_view text) {
  const auto chosen = shingles(text);
  const auto known = std::count_if(chosen.begin(), chosen.end(),
                                   [&](std::uint64_t shingle) { return seen_.count(shingle) > 0; });
  if (static_cast<double>(known) >= most * static_cast<double>(chosen.size())) return false;
  seen_.insert(chosen.begin(), chosen.end());
  return true;
}

}  // namespace rubato
