// The types of numbers that tensors of any content consist of. Not here: files (tensor_file) and
// what a model makes of them (model/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rubato {

enum class element_type : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

/// In bytes.
std::size_t size_of(element_type type);

/// "F32", "I64", "BOOL", ...: as safetensors calls it.
std::string_view to_string(element_type type);

/// The type of that name.
std::optional<element_type> find_element_type(std::string_view name);
/// The type that NumPy describes so: "<f4", "<i8", "|b1", ...
std::optional<element_type> find_numpy_type(std::string_view description);

/// All names as to_string() gives them, for people.
std::string_view element_types();

}  // namespace rubato
