#include "transfer/buffer_coding.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "transfer/error_feedback.hpp"

namespace rubato {

namespace {

/// A buffer by its sections.
template <class Float>
struct parts {
  parts(const parameter_layout& layout, std::span<Float> all) {
    if (all.size() != layout.size()) {
      throw std::invalid_argument("buffer_coding: a buffer is not of the layout's size");
    }
    const std::size_t coded_end = layout.end(section::trainable);
    const std::size_t exact_end = layout.end(section::averaged);
    coded = all.first(coded_end);
    exact = all.subspan(coded_end, exact_end - coded_end);
    local = all.subspan(exact_end);
  }
  std::span<Float> coded;
  std::span<Float> exact;
  std::span<Float> local;
};

/// The encoding by its sections.
template <class Byte>
struct byte_parts {
  byte_parts(codec c, const parameter_layout& layout, std::span<Byte> all) {
    if (all.size() != encoded_size(c, layout)) {
      throw std::invalid_argument("buffer_coding: the bytes are not as many as the layout needs");
    }
    const std::size_t coded_size = encoded_size(c, layout.end(section::trainable));
    coded = all.first(coded_size);
    exact = all.subspan(coded_size);
  }
  std::span<Byte> coded;
  std::span<Byte> exact;
};

void copy_bits(const void* from, void* to, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

std::span<const float> coded_part(const parameter_layout& layout, const parameter_buffer* buffer) {
  if (buffer == nullptr) return {};
  return parts<const float>(layout, buffer->span()).coded;
}

}  // namespace

std::size_t encoded_size(codec c, const parameter_layout& layout) {
  const std::size_t coded = layout.end(section::trainable);
  return encoded_size(c, coded) + (layout.end(section::averaged) - coded) * sizeof(float);
}

void encode_update(codec c, const parameter_layout& layout, const parameter_buffer& update,
                   const parameter_buffer* residual, parameter_buffer& kept,
                   parameter_buffer& out) {
  const parts from(layout, update.span());
  const parts rest(layout, kept.span());
  const byte_parts to(c, layout, std::as_writable_bytes(out.span()));
  encode_with_feedback(c, from.coded, coded_part(layout, residual), rest.coded, to.coded);
  std::fill(rest.exact.begin(), rest.local.end(), 0.0F);
  copy_bits(from.exact.data(), to.exact.data(), to.exact.size());
}

void decode_update(codec c, const parameter_layout& layout, byte_span bytes,
                   parameter_buffer& update) {
  const byte_parts from(c, layout, bytes);
  const parts to(layout, update.span());
  decode(c, from.coded, to.coded);
  copy_bits(from.exact.data(), to.exact.data(), from.exact.size());
  std::fill(to.local.begin(), to.local.end(), 0.0F);
}

void decode_part(codec c, const parameter_layout& layout, byte_span bytes, std::size_t first,
                 std::span<float> out) {
  const byte_parts from(c, layout, bytes);
  const std::size_t coded_end = layout.end(section::trainable);
  const std::size_t last = first + out.size();
  if (last <= coded_end && first % block_values == 0 &&
      (last == coded_end || out.size() % block_values == 0)) {
    const auto unit = unit_of(c);
    decode(c, from.coded.subspan(first / unit.values * unit.bytes, encoded_size(c, out.size())),
           out);
  } else if (first >= coded_end && last <= layout.end(section::averaged)) {
    copy_bits(from.exact.data() + (first - coded_end) * sizeof(float), out.data(),
              out.size_bytes());
  } else {
    throw std::invalid_argument("decode_part: such a part cannot be decoded by itself");
  }
}

void encode_version(version_form form, const parameter_layout& layout,
                    const parameter_buffer& version, const parameter_buffer* known,
                    parameter_buffer& out) {
  const parts from(layout, version.span());
  const byte_parts to(form.how, layout, std::as_writable_bytes(out.span()));
  encode_version(form, from.coded, coded_part(layout, known), to.coded);
  copy_bits(from.exact.data(), to.exact.data(), to.exact.size());
}

void decode_version(version_form form, const parameter_layout& layout, byte_span bytes,
                    const parameter_buffer* known, parameter_buffer& version) {
  const byte_parts from(form.how, layout, bytes);
  const parts to(layout, version.span());
  decode_version(form, from.coded, coded_part(layout, known), to.coded);
  copy_bits(from.exact.data(), to.exact.data(), from.exact.size());
}

}  // namespace rubato
