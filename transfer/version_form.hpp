// Versions on their way down: as absolute values (f32, bf16) or as the coded difference to what the
// receiver has. int8 and int4 are for differences only, for their error is relative to the largest
// value around.
// Not here: who has what (versions_down.hpp), and updates on their way up (error_feedback.hpp).
#pragma once

#include <cstddef>
#include <span>

#include "transfer/codec.hpp"

namespace rubato {

/// How a version is coded.
struct version_form {
  codec how = codec::f32;
  bool difference = false;  // to what the receiver has; otherwise absolute

  bool operator==(const version_form& other) const = default;
};

/// The form of versions in `c`: int8 and int4 are differences, after a first version in f32.
version_form form_of(codec c, bool first);

/// Bytes of the version. `known` is what the receiver has, of no meaning in an absolute form.
/// Throws std::invalid_argument unless `known` is as many as `version`, for a difference, and `out`
/// has encoded_size() bytes.
void encode_version(version_form form, std::span<const float> version, std::span<const float> known,
                    std::span<std::byte> out);

/// What the receiver has with these bytes: the same on both ends, bit for bit, unless one of the
/// two threads flushes denormals to zero. `out` may be `known`. Bytes of another size throw
/// std::invalid_argument and change nothing.
///
/// Who codes each version as the difference to what came of the last one loses nothing for good:
/// what a difference lacks is part of the next one, so the receiver is off by one coding error at
/// any time, however many versions there were. With steps s (codec.hpp) and versions that change by
/// at most D a time, that is at most D / (2 s - 1), a little more with rounding.
void decode_version(version_form form, byte_span bytes, std::span<const float> known,
                    std::span<float> out);

}  // namespace rubato
