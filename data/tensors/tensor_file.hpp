// A file of tensors, `.safetensors` or `.npy`, whose values the system reads when they are looked
// at. Not here: which tensors belong together (tensor_dataset).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bytes/bytes.hpp"
#include "data/tensors/element_type.hpp"
#include "data/tokens/mapped_file.hpp"

namespace rubato {

struct mapped_tensor {
  std::string name;
  element_type type = element_type::f32;
  std::vector<std::int64_t> shape;
  byte_span bytes;  // row by row, of any alignment; the file's own
};

/// Its tensors: those of a `.safetensors` file that are of a known type, or the one of a `.npy`
/// file, which is called as the file is.
class tensor_file {
 public:
  /// Throws usage_error naming the path and what is wrong: its name ends otherwise, it is missing,
  /// damaged or cut short.
  explicit tensor_file(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<mapped_tensor>& tensors() const { return tensors_; }
  /// nullptr if there is none of that name. Throws usage_error if its type is not supported.
  const mapped_tensor* find(const std::string& name) const;

 private:
  mapped_file file_;
  std::vector<mapped_tensor> tensors_;
  std::vector<std::pair<std::string, std::string>> others_;  // names and types
};

/// Whether its name is that of a file with tensors.
bool is_tensor_file(const std::string& path);

}  // namespace rubato
