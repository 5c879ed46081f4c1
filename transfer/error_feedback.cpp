#include "transfer/error_feedback.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "config/instruction_set.hpp"

namespace rubato {

namespace {

// What is worked on at a time stays in the L1 cache.
constexpr std::size_t piece_values = 2048;
static_assert(piece_values % block_values == 0);

}  // namespace

void encode_with_feedback(codec c, std::span<const float> values, std::span<const float> residual,
                          std::span<float> kept, std::span<std::byte> out) {
  const std::size_t all = values.size();
  if ((!residual.empty() && residual.size() != all) || kept.size() != all ||
      out.size() != encoded_size(c, all)) {
    throw std::invalid_argument("encode_with_feedback: another number of values or bytes");
  }
  alignas(register_bytes) std::array<float, piece_values> wanted_values;
  alignas(register_bytes) std::array<float, piece_values> sent_values;
  for (std::size_t first = 0; first < all; first += piece_values) {
    const std::size_t count = std::min(piece_values, all - first);
    const auto wanted = std::span(wanted_values).first(count);
    const auto sent = std::span(sent_values).first(count);
    const auto bytes = out.subspan(encoded_size(c, first), encoded_size(c, count));
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < count; ++i) {
        wanted[i] = residual.empty() ? values[first + i] : values[first + i] + residual[first + i];
      }
    });
    encode(c, wanted, bytes);
    decode(c, bytes, sent);
    vectorised([=] {
      RUBATO_ELEMENTWISE
      for (std::size_t i = 0; i < count; ++i) {
        const float lost = wanted[i] - sent[i];
        kept[first + i] = std::isfinite(lost) ? lost : 0.0F;
      }
    });
  }
}

}  // namespace rubato
