// The header of NumPy's `.npy` files: magic, version, and a Python dictionary that says what the
// bytes behind it are. Not here: the bytes (tensor_file maps them).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bytes/bytes.hpp"
#include "data/tensors/element_type.hpp"

namespace rubato {

struct npy_header {
  element_type type = element_type::f32;
  std::vector<std::int64_t> shape;  // row by row; empty for a single value
  std::uint64_t begin = 0;          // of the values, which fill the rest of the file
};

/// Reads the header of versions 1 to 3. Files are not trusted: the rest of `file` has as many bytes
/// as type and shape say. Throws usage_error naming the path and what is wrong: another format, cut
/// short, a type that is not supported, big-endian or column by column.
npy_header read_npy_header(const std::string& path, byte_span file);

}  // namespace rubato
