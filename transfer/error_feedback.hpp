// What a lossy codec takes from a worker's updates, kept and added to the next ones, so that it
// arrives late instead of never (Seide et al. 2014; Karimireddy et al. 2019, EF-SGD with an
// arbitrary compressor).
// Not for versions on their way down: version_form.hpp.
#pragma once

#include <cstddef>
#include <span>

#include "transfer/codec.hpp"

namespace rubato {

/// Encodes values + residual, and puts what is lost into `kept`: the residual for the next update.
/// `residual` is what the last call kept, or empty where nothing is kept yet; it may be `kept`
/// itself. Where the loss is not finite (the value was not, or too large for bf16), nothing is
/// kept: the receiver sees it and refuses the update. Any thread; deterministic.
///
/// What is kept of a value is the error of a single encoding: at most what the codec's bound says
/// about values + residual. So the sum of all that was decoded never differs from the sum of all
/// values by more than one such error, however many there were.
///
/// Throws std::invalid_argument unless `residual` (if not empty) and `kept` are as many as `values`
/// and `out` has encoded_size() bytes.
void encode_with_feedback(codec c, std::span<const float> values, std::span<const float> residual,
                          std::span<float> kept, std::span<std::byte> out);

}  // namespace rubato
