#include "data/tensors/element_type.hpp"

#include <algorithm>

namespace rubato {
namespace {

struct description {
  element_type type;
  std::size_t size;
  std::string_view name;
  std::string_view numpy;  // empty: NumPy has no such type
};

constexpr description types[] = {
    {element_type::f64, 8, "F64", "<f8"}, {element_type::f32, 4, "F32", "<f4"},
    {element_type::f16, 2, "F16", "<f2"}, {element_type::bf16, 2, "BF16", {}},
    {element_type::i64, 8, "I64", "<i8"}, {element_type::i32, 4, "I32", "<i4"},
    {element_type::i16, 2, "I16", "<i2"}, {element_type::i8, 1, "I8", "|i1"},
    {element_type::u8, 1, "U8", "|u1"},   {element_type::boolean, 1, "BOOL", "|b1"},
};

const description& of(element_type type) {
  return *std::find_if(std::begin(types), std::end(types),
                       [type](const description& d) { return d.type == type; });
}

}  // namespace

std::size_t size_of(element_type type) {
  return of(type).size;
}

std::string_view to_string(element_type type) {
  return of(type).name;
}

std::optional<element_type> find_element_type(std::string_view name) {
  for (const auto& d : types) {
    if (d.name == name) return d.type;
  }
  return std::nullopt;
}

std::optional<element_type> find_numpy_type(std::string_view description) {
  for (const auto& d : types) {
    if (d.numpy == description && !d.numpy.empty()) return d.type;
  }
  return std::nullopt;
}

std::string_view element_types() {
  return "F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL";
}

}  // namespace rubato
