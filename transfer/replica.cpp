#include "transfer/replica.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace rubato {

namespace {

// What is worked on at a time stays in the L1 cache.
constexpr std::size_t piece_values = 2048;
static_assert(piece_values % block_values == 0);

}  // namespace

void replica::set(codec c, byte_span bytes) {
  decode(c, bytes, values_);
  blank_ = false;
}

void replica::add(codec c, byte_span bytes) {
  if (blank_) throw std::logic_error("replica: a difference, but nothing to add it to");
  if (bytes.size() != encoded_size(c, values_.size())) {
    throw std::invalid_argument("replica: the bytes are not as many as the values need");
  }
  std::array<float, piece_values> difference_values;
  for (std::size_t first = 0; first < values_.size(); first += piece_values) {
    const std::size_t count = std::min(piece_values, values_.size() - first);
    const auto difference = std::span(difference_values).first(count);
    decode(c, bytes.subspan(encoded_size(c, first), encoded_size(c, count)), difference);
    for (std::size_t i = 0; i < count; ++i) values_[first + i] += difference[i];
  }
}

mirror::mirror(std::size_t values, codec absolute, codec difference)
    : receiver_(values), absolute_(absolute), difference_(difference) {
  if (absolute != codec::f32 && absolute != codec::bf16) {
    throw std::invalid_argument("mirror: absolute values go as f32 or bf16");
  }
}

mirror::form mirror::next() const {
  return receiver_.blank() ? form{absolute_, false} : form{difference_, true};
}

void mirror::encode(std::span<const float> version, std::span<std::byte> out) const {
  const codec c = next().how;
  if (version.size() != values().size() || out.size() != encoded_size(c, version.size())) {
    throw std::invalid_argument("mirror: another number of values or bytes");
  }
  if (!next().difference) {
    rubato::encode(c, version, out);
    return;
  }
  std::array<float, piece_values> difference_values;
  for (std::size_t first = 0; first < version.size(); first += piece_values) {
    const std::size_t count = std::min(piece_values, version.size() - first);
    const auto difference = std::span(difference_values).first(count);
    for (std::size_t i = 0; i < count; ++i) {
      difference[i] = version[first + i] - values()[first + i];
    }
    rubato::encode(c, difference, out.subspan(encoded_size(c, first), encoded_size(c, count)));
  }
}

void mirror::delivered(byte_span bytes) {
  const form f = next();
  if (f.difference) {
    receiver_.add(f.how, bytes);
  } else {
    receiver_.set(f.how, bytes);
  }
}

}  // namespace rubato
