#include "transfer/error_feedback.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

namespace rubato {

namespace {

// What is worked on at a time stays in the L1 cache.
constexpr std::size_t piece_values = 2048;
static_assert(piece_values % block_values == 0);

}  // namespace

error_feedback::error_feedback(codec c, std::size_t values)
    : codec_(c), values_(values), residual_(c == codec::f32 ? 0 : values) {}

void error_feedback::encode(std::span<const float> values, std::span<std::byte> out) {
  if (values.size() != values_ || out.size() != encoded_size(codec_, values_)) {
    throw std::invalid_argument("error_feedback: another number of values or bytes");
  }
  if (codec_ == codec::f32) {
    rubato::encode(codec_, values, out);
    return;
  }
  std::array<float, piece_values> wanted_values;
  std::array<float, piece_values> sent_values;
  for (std::size_t first = 0; first < values_; first += piece_values) {
    const std::size_t count = std::min(piece_values, values_ - first);
    const auto wanted = std::span(wanted_values).first(count);
    const auto sent = std::span(sent_values).first(count);
    const auto bytes = out.subspan(encoded_size(codec_, first), encoded_size(codec_, count));
    for (std::size_t i = 0; i < count; ++i) wanted[i] = values[first + i] + residual_[first + i];
    rubato::encode(codec_, wanted, bytes);
    decode(codec_, bytes, sent);
    for (std::size_t i = 0; i < count; ++i) {
      const float lost = wanted[i] - sent[i];
      residual_[first + i] = std::isfinite(lost) ? lost : 0.0F;
    }
  }
}

void error_feedback::restore(std::span<const float> residual) {
  if (residual.size() != residual_.size()) {
    throw std::invalid_argument("error_feedback: a residual of another size");
  }
  std::copy(residual.begin(), residual.end(), residual_.begin());
}

void error_feedback::reset() {
  std::fill(residual_.begin(), residual_.end(), 0.0F);
}

}  // namespace rubato
