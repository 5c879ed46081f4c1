// Files of tensors as bytes, by the formats' own rules.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rubato::test {

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// Version 1, with this text for a header.
inline std::string npy_with_header(std::string_view text, std::string_view values) {
  return std::string("\x93NUMPY\1\0", 8) +
         bytes_of<std::uint16_t>({static_cast<std::uint16_t>(text.size())}) + std::string(text) +
         std::string(values);
}

/// `type` as NumPy calls it, `shape` without brackets: "2, 3" or "2,".
inline std::string npy(std::string_view type, std::string_view shape, std::string_view values) {
  return npy_with_header(
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}   \n", type, shape),
      values);
}

struct safetensors_part {
  std::string name, type, shape;  // the shape without brackets: "2, 3"
  std::string values;
};

inline std::string safetensors(const std::vector<safetensors_part>& parts) {
  std::string header, values;
  for (const auto& part : parts) {
    header += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          header.empty() ? "{" : ",", part.name, part.type, part.shape,
                          values.size(), values.size() + part.values.size());
    values += part.values;
  }
  header += "}";
  return bytes_of<std::uint64_t>({header.size()}) + header + values;
}

}  // namespace rubato::test
