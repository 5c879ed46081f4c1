#include "transfer/version_form.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "config/instruction_set.hpp"

namespace rubato {

namespace {

// What is worked on at a time stays in the L1 cache.
constexpr std::size_t piece_values = 2048;
static_assert(piece_values % block_values == 0);

/// Calls visit(first, count, bytes) for each piece of so many values that lie in `bytes`.
template <class Bytes, class Visit>
void for_each_piece(version_form form, std::size_t values, std::size_t known, Bytes bytes,
                    Visit visit) {
  if (bytes.size() != encoded_size(form.how, values) || (form.difference && known != values)) {
    throw std::invalid_argument("version_form: another number of values or bytes");
  }
  for (std::size_t first = 0; first < values; first += piece_values) {
    const std::size_t count = std::min(piece_values, values - first);
    visit(first, count,
          bytes.subspan(encoded_size(form.how, first), encoded_size(form.how, count)));
  }
}

}  // namespace

version_form form_of(codec c, bool first) {
  const bool absolute = c == codec::f32 || c == codec::bf16;
  if (absolute) return {c, false};
  return first ? version_form{codec::f32, false} : version_form{c, true};
}

void encode_version(version_form form, std::span<const float> version, std::span<const float> known,
                    std::span<std::byte> out) {
  alignas(register_bytes) std::array<float, piece_values> difference_values;
  for_each_piece(form, version.size(), known.size(), out,
                 [&](std::size_t first, std::size_t count, std::span<std::byte> bytes) {
                   if (!form.difference) {
                     encode(form.how, version.subspan(first, count), bytes);
                     return;
                   }
                   const auto difference = std::span(difference_values).first(count);
                   vectorised([=] {
                     RUBATO_ELEMENTWISE
                     for (std::size_t i = 0; i < count; ++i) {
                       difference[i] = version[first + i] - known[first + i];
                     }
                   });
                   encode(form.how, difference, bytes);
                 });
}

void decode_version(version_form form, byte_span bytes, std::span<const float> known,
                    std::span<float> out) {
  alignas(register_bytes) std::array<float, piece_values> difference_values;
  for_each_piece(form, out.size(), known.size(), bytes,
                 [&](std::size_t first, std::size_t count, byte_span piece) {
                   if (!form.difference) {
                     decode(form.how, piece, out.subspan(first, count));
                     return;
                   }
                   const auto difference = std::span(difference_values).first(count);
                   decode(form.how, piece, difference);
                   vectorised([=] {
                     RUBATO_ELEMENTWISE
                     for (std::size_t i = 0; i < count; ++i) {
                       out[first + i] = known[first + i] + difference[i];
                     }
                   });
                 });
}

}  // namespace rubato
