#include "model/tensor_of.hpp"

#include <cstring>
#include <stdexcept>
#include <string>

namespace rubato {
namespace {

torch::ScalarType type_of(element_type type) {
  switch (type) {
    case element_type::f64:
      return torch::kDouble;
    case element_type::f32:
      return torch::kFloat;
    case element_type::f16:
      return torch::kHalf;
    case element_type::bf16:
      return torch::kBFloat16;
    case element_type::i64:
      return torch::kLong;
    case element_type::i32:
      return torch::kInt;
    case element_type::i16:
      return torch::kShort;
    case element_type::i8:
      return torch::kChar;
    case element_type::u8:
      return torch::kByte;
    case element_type::boolean:
      break;
  }
  return torch::kBool;
}

}  // namespace

torch::Tensor tensor_of(const tensor_values& values) {
  auto tensor = torch::empty(values.shape, type_of(values.type));
  if (values.bytes.size() != tensor.nbytes()) {
    throw std::invalid_argument("a tensor of a batch has " + std::to_string(values.bytes.size()) +
                                " bytes; its shape and type take " +
                                std::to_string(tensor.nbytes()));
  }
  if (!values.bytes.empty()) {
    std::memcpy(tensor.data_ptr(), values.bytes.data(), values.bytes.size());
  }
  return tensor;
}

}  // namespace rubato
