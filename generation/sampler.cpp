#include "generation/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "config/error.hpp"

namespace rubato {

std::int32_t sample_token(std::span<const float> logits, const sampling& how, double uniform) {
  if (logits.empty()) throw std::invalid_argument("sample_token: there is no token to draw");
  if (!std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); })) {
    throw run_error("the model has no finite number for each next token: its training diverged");
  }
  std::vector<std::int32_t> tokens(logits.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  const auto more_likely = [&](std::int32_t a, std::int32_t b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  const auto best = *std::min_element(tokens.begin(), tokens.end(), more_likely);
  if (how.temperature == 0.0) return best;
  if (how.top_k > 0 && how.top_k < static_cast<std::int64_t>(tokens.size())) {
    std::nth_element(tokens.begin(), tokens.begin() + how.top_k, tokens.end(), more_likely);
    tokens.resize(static_cast<std::size_t>(how.top_k));
    std::sort(tokens.begin(), tokens.end());  // nth_element leaves them in any order
  }

  // Divided last: a tiny temperature must not make the best token's weight infinity / infinity.
  const double highest = logits[static_cast<std::size_t>(best)];
  std::vector<double> sums;
  double sum = 0.0;
  for (const auto token : tokens) {
    sum += std::exp((logits[static_cast<std::size_t>(token)] - highest) / how.temperature);
    sums.push_back(sum);
  }
  const auto drawn = std::upper_bound(sums.begin(), sums.end(), uniform * sum);
  // Rounding may bring uniform * sum up to sum.
  return drawn == sums.end() ? best : tokens[static_cast<std::size_t>(drawn - sums.begin())];
}

}  // namespace rubato
