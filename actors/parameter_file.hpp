// Parameters of a model to `.safetensors`, and from these or a checkpoint, checked against the
// model's layout.
#pragma once

#include <string>

#include "optim/parameter_buffer.hpp"

namespace rubato {

/// Throws run_error if the file cannot be written.
void save_parameters(const std::string& path, const parameter_layout& layout,
                     const parameter_buffer& parameters);

/// The file that a path stands for: of a run directory the final parameters, or while there are
/// none the newest checkpoint; else the path itself. Throws usage_error if there is nothing.
std::string find_parameters(const std::string& path);

/// The configuration of the run that a file with parameters is of: config.toml beside it, or, as
/// for a checkpoint in its folder, above. Empty if there is none.
std::string find_config(const std::string& parameters);

/// Fills `parameters` from a .safetensors file, a checkpoint or a run directory. Throws usage_error
/// naming the file and the first tensor that is missing, has another shape, or is not part of the
/// model, run_error for a checkpoint that is damaged; `parameters` is then unspecified.
void load_parameters(const std::string& path, const parameter_layout& layout,
                     parameter_buffer& parameters);

}  // namespace rubato
