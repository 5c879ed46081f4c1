// Training a module that was exported from Python with torch.jit. No LibTorch in this header.
#pragma once

#include <span>
#include <string>

#include "config/config.hpp"
#include "data/dataset.hpp"
#include "model/learner.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

/// The factory for model.kind = "torchscript". Reads model.path once, tries a step and,
/// where something is held out, an evaluation with the data's first batches, and throws usage_error
/// if the file is no such module, the module throws, or it is one that cannot be trained: without
/// parameters, with others than Float, with a loss that is no scalar or depends on no parameter,
/// with state of its own that cannot be carried along, or, on the virtual clock, with random
/// operations.
///
/// Parameters are called as in Python's state_dict and are those of the file in a new learner.
/// Buffers of Float that training changes are the section `averaged`; others that it changes are
/// put back after every step, and all the rest stay as they are.
learner_factory make_scripted_factory(const config& c, const dataset& data);

/// The module in the file `path` with these parameters, all layout.size() floats, as such a learner
/// exports it; without data. Throws usage_error if the file has another SHA-256, or cannot be read.
std::string export_scripted(const std::string& path, const std::string& sha256,
                            const parameter_layout& layout, std::span<const float> parameters);

}  // namespace rubato
