// Reads and writes `.safetensors` files: named tensors with shapes, f32 but for what is only
// listed. Format: 8-byte little-endian header length, a JSON header, then the tensors' bytes. Not
// here: where a tensor belongs in a model (optim/parameter_buffer.hpp has the layout).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace rubato {

struct named_tensor {
  std::string name;
  std::vector<std::int64_t> shape;  // empty for a scalar
  std::span<const float> values;    // row by row; owned by somebody else
};

/// Writes the tensors as F32 in the order given, atomically (temporary file, fsync, rename).
/// Throws run_error naming the path when that fails; std::invalid_argument for a name that repeats,
/// is "__metadata__" or is not UTF-8, and for a shape that does not fit its values.
void write_safetensors(const std::string& path, const std::vector<named_tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// A tensor as the header of a file declares it.
struct stored_tensor {
  std::string name;
  std::string type;                 // of its elements, as the format calls it: "F32", "I64", ...
  std::vector<std::int64_t> shape;  // empty for a scalar
  std::uint64_t elements = 0;
  std::uint64_t begin = 0;  // its bytes, from the start of the file
  std::uint64_t end = 0;
};

/// What is in a file, of whatever type, in the order in which it lies there; no values are read.
/// Files are not trusted: the bytes of the tensors are as many as their types and shapes say, and
/// in the file. Throws usage_error as safetensors_file does.
std::vector<stored_tensor> list_safetensors(const std::string& path);

/// A file read whole into memory. F32, F16 and BF16 tensors are given as f32.
/// Files are not trusted: whatever the bytes, the result is a valid object or a usage_error.
class safetensors_file {
 public:
  /// Throws usage_error naming the path and what is wrong: missing, not a safetensors file,
  /// truncated, offsets that overlap or leave the file, a type that is not supported.
  explicit safetensors_file(const std::string& path);
  // The tensors refer to this object's own storage: it can be moved, but a copy would dangle.
  safetensors_file(safetensors_file&&) = default;
  safetensors_file& operator=(safetensors_file&&) = default;

  /// In the order in which they lie in the file.
  const std::vector<named_tensor>& tensors() const { return tensors_; }
  /// nullptr if there is none of that name.
  const named_tensor* find(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::vector<std::vector<float>> storage_;
  std::vector<named_tensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace rubato
