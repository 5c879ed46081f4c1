// Recognises texts that say little that earlier texts have not said: copies, edited copies, and
// files generated from one template. Not here: exact hashing of files, or which texts to compare.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_set>

namespace rubato {

/// Remembers the texts it let pass. A text is cut into words, numbers and punctuation marks (white
/// space does not count) and then into shingles, the runs of 8 of these. It is a near-duplicate if
/// at least 0.6 of its shingles occur in texts that passed before. Names that vary break only the
/// shingles they are in, so that generated files are recognised, while texts that merely share a
/// subject, a style or a licence header are not (unless they are little else than that header).
///
/// To be fast, only one shingle in 4 is looked at, chosen by its hash and so the same one in every
/// text (Broder 1997, "On the resemblance and containment of documents").
class near_duplicate_filter {
 public:
  /// True, and remembers the text, unless it is a near-duplicate. The outcome depends on the order
  /// of calls: with the longest texts first, the fullest version of each is what passes.
  bool pass(std::string_view text);

 private:
  std::unordered_set<std::uint64_t> seen_;
};

}  // namespace rubato
