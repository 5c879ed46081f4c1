// Parameters of a model to and from `.safetensors`, checked against the model's layout.
#pragma once

#include <string>

#include "optim/parameter_buffer.hpp"

namespace rubato {

/// Throws run_error if the file cannot be written.
void save_parameters(const std::string& path, const parameter_layout& layout,
                     const parameter_buffer& parameters);

/// Fills `parameters` from the file. Throws usage_error naming the file and the first tensor that
/// is missing, has another shape, or is not part of the model; `parameters` is then unspecified.
void load_parameters(const std::string& path, const parameter_layout& layout,
                     parameter_buffer& parameters);

}  // namespace rubato
