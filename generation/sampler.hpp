// Which token comes next, of those that a model thinks likely. Pure functions.
// Not here: where the randomness comes from (generate).
#pragma once

#include <cstdint>
#include <span>

namespace rubato {

struct sampling {
  double temperature = 1.0;  // logits are divided by it; 0: always the most likely token
  std::int64_t top_k = 0;    // only of the so many most likely ones; 0: of all
};

/// Draws a token from the softmax of `logits`, one for each token of the vocabulary, with `uniform`
/// from [0, 1). Of equally likely tokens the lower one counts as more likely. Throws run_error if a
/// logit is not a finite number, std::invalid_argument if there are none.
std::int32_t sample_token(std::span<const float> logits, const sampling& how, double uniform);

}  // namespace rubato
