// What of a parameter buffer travels, and how it lies in the bytes: the trainable section in a
// codec, then the averaged one as f32, for a variance that is rounded may end up below zero. Local
// tensors stay. Both sections as they are in memory, padding included, so that f32 is the memory
// itself: nobody need copy it.
// Not here: sending, and who has what (versions_down.hpp).
#pragma once

#include <cstddef>
#include <span>

#include "optim/parameter_buffer.hpp"
#include "transfer/codec.hpp"
#include "transfer/version_form.hpp"

namespace rubato {

/// Bytes of an update or a version. Always a multiple of 4, for sections end at whole cache lines:
/// so the bytes can lie in a parameter_buffer.
std::size_t encoded_size(codec c, const parameter_layout& layout);

/// A buffer with room for them.
inline std::size_t encoded_floats(codec c, const parameter_layout& layout) {
  return encoded_size(c, layout) / sizeof(float);
}

// All buffers have layout.size() floats; those of bytes encoded_floats(). All throw
// std::invalid_argument on another size.

/// Encodes an update, plus what `residual` kept of earlier ones (null: nothing), and writes into
/// all of `kept` what is lost now, see error_feedback.hpp.
void encode_update(codec c, const parameter_layout& layout, const parameter_buffer& update,
                   const parameter_buffer* residual, parameter_buffer& kept, parameter_buffer& out);
/// Writes all of `update`; its local section becomes zero.
void decode_update(codec c, const parameter_layout& layout, byte_span bytes,
                   parameter_buffer& update);

/// Elements [first, first + out.size()) of an update, of the trainable or the averaged section.
/// In the trainable section `first` is a multiple of block_values, and out has a multiple of them
/// or ends with the section. Throws std::invalid_argument for other places.
void decode_part(codec c, const parameter_layout& layout, byte_span bytes, std::size_t first,
                 std::span<float> out);

/// `known`: what the receiver has; null in an absolute form.
void encode_version(version_form form, const parameter_layout& layout,
                    const parameter_buffer& version, const parameter_buffer* known,
                    parameter_buffer& out);
/// Writes trainable and averaged section of `version`.
void decode_version(version_form form, const parameter_layout& layout, byte_span bytes,
                    const parameter_buffer* known, parameter_buffer& version);

}  // namespace rubato
