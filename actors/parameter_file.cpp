#include "actors/parameter_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "config/error.hpp"
#include "storage/safetensors.hpp"

namespace rubato {

void save_parameters(const std::string& path, const parameter_layout& layout,
                     const parameter_buffer& parameters) {
  std::vector<named_tensor> tensors;
  for (const auto& t : layout.tensors()) {
    tensors.push_back({t.name, t.shape, parameters.span().subspan(t.offset, t.size)});
  }
  write_safetensors(path, tensors);
}

void load_parameters(const std::string& path, const parameter_layout& layout,
                     parameter_buffer& parameters) {
  const safetensors_file file(path);
  for (const auto& t : layout.tensors()) {
    const auto* found = file.find(t.name);
    if (found == nullptr) {
      throw usage_error(
          fmt::format("{}: has no tensor \"{}\", which the model needs", path, t.name));
    }
    if (found->shape != t.shape) {
      throw usage_error(fmt::format("{}: tensor \"{}\" has shape [{}], the model needs [{}]", path,
                                    t.name, fmt::join(found->shape, ", "),
                                    fmt::join(t.shape, ", ")));
    }
    std::copy(found->values.begin(), found->values.end(), parameters.data() + t.offset);
  }
  if (file.tensors().size() != layout.tensors().size()) {
    for (const auto& tensor : file.tensors()) {
      const auto& known = layout.tensors();
      if (std::none_of(known.begin(), known.end(),
                       [&](const auto& t) { return t.name == tensor.name; })) {
        throw usage_error(
            fmt::format("{}: tensor \"{}\" is not part of the model", path, tensor.name));
      }
    }
  }
}

}  // namespace rubato
