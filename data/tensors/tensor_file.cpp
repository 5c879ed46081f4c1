#include "data/tensors/tensor_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "config/error.hpp"
#include "data/tensors/npy.hpp"
#include "storage/safetensors.hpp"

namespace rubato {
namespace {

std::string ending_of(const std::string& path) {
  return std::filesystem::path(path).extension().string();
}

}  // namespace

bool is_tensor_file(const std::string& path) {
  const auto ending = ending_of(path);
  return ending == ".safetensors" || ending == ".npy";
}

tensor_file::tensor_file(const std::string& path) : file_(path) {
  const auto bytes = file_.bytes();
  if (ending_of(path) == ".npy") {
    auto header = read_npy_header(path, bytes);
    tensors_.push_back({std::filesystem::path(path).stem().string(), header.type,
                        std::move(header.shape), bytes.subspan(header.begin)});
    return;
  }
  if (!is_tensor_file(path)) {
    throw usage_error(
        fmt::format("cannot read {}: its name must end with .safetensors or .npy", path));
  }
  for (auto& stored : list_safetensors(path)) {
    // The header was read from the file as it was a moment later.
    if (stored.end > bytes.size()) {
      throw usage_error(fmt::format("cannot read {}: it changes", path));
    }
    const auto type = find_element_type(stored.type);
    if (!type) {
      others_.emplace_back(std::move(stored.name), std::move(stored.type));
      continue;
    }
    tensors_.push_back({std::move(stored.name), *type, std::move(stored.shape),
                        bytes.subspan(stored.begin, stored.end - stored.begin)});
  }
}

const mapped_tensor* tensor_file::find(const std::string& name) const {
  for (const auto& [other, type] : others_) {
    if (other != name) continue;
    throw usage_error(fmt::format("cannot read {}: tensor \"{}\" has the type {}; supported are {}",
                                  path(), name, type, element_types()));
  }
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&name](const auto& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

}  // namespace rubato
