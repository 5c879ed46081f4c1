// A learner that learns next to nothing, and takes a given time for it: for measurements of what
// travels between machines, where a real one's steps would only make heat. No LibTorch in it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "config/config.hpp"
#include "model/learner.hpp"

namespace rubato {

/// Of model.parameters trainable values. A step takes model.step_seconds of real time, from the end
/// of the one before if there was one just now, so that many steps take as long as they should; on
/// the virtual clock, none. It moves a slice of 4096 values, which the batch decides on, by a
/// hundredth towards 0 (moves_itself()); its loss is their mean square. The loss of an evaluation
/// is the mean square of the first 4096, and nothing counts as correct. gradient() is zero.
std::unique_ptr<learner> make_null_learner(const config& c);

/// Starting values: uniform between -1 and 1. The same bits on every machine.
void initialize_null(std::uint64_t seed, std::span<float> parameters);

}  // namespace rubato
