#include "actors/parameter_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "config/error.hpp"
#include "recovery/resume.hpp"
#include "recovery/snapshot.hpp"
#include "storage/checkpoint_reader.hpp"
#include "storage/safetensors.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

std::vector<named_tensor> tensors_of(const parameter_layout& layout,
                                     const parameter_buffer& parameters) {
  std::vector<named_tensor> tensors;
  for (const auto& t : layout.tensors()) {
    tensors.push_back({t.name, t.shape, parameters.span().subspan(t.offset, t.size)});
  }
  return tensors;
}

std::pair<parameter_layout, version_ptr> read_checkpoint(const std::string& path) {
  checkpoint_reader file(posix_file_system(), path);
  try {
    auto run = snapshot_reader(file).read(run_part);
    auto layout = layout_from(run.values.at("layout"));
    return {std::move(layout), take_merging(run).parameters};
  } catch (const nlohmann::json::exception& e) {
    throw run_error(
        fmt::format("{} is whole, but not a checkpoint of this program: {}", path, e.what()));
  }
}

/// Each tensor of the layout from the one of its name; none may be left over.
void copy_tensors(const std::string& path, const std::vector<named_tensor>& tensors,
                  const parameter_layout& layout, parameter_buffer& parameters) {
  std::map<std::string_view, const named_tensor*> by_name;
  for (const auto& tensor : tensors) by_name[tensor.name] = &tensor;
  for (const auto& t : layout.tensors()) {
    const auto found = by_name.extract(t.name);
    if (!found) {
      throw usage_error(
          fmt::format("{}: has no tensor \"{}\", which the model needs", path, t.name));
    }
    const auto& [name, shape, values] = *found.mapped();
    if (shape != t.shape) {
      throw usage_error(fmt::format("{}: tensor \"{}\" has shape [{}], the model needs [{}]", path,
                                    name, fmt::join(shape, ", "), fmt::join(t.shape, ", ")));
    }
    std::copy(values.begin(), values.end(), parameters.data() + t.offset);
  }
  if (by_name.empty()) return;
  throw usage_error(
      fmt::format("{}: tensor \"{}\" is not part of the model", path, by_name.begin()->first));
}

}  // namespace

void save_parameters(const std::string& path, const parameter_layout& layout,
                     const parameter_buffer& parameters) {
  write_safetensors(path, tensors_of(layout, parameters));
}

std::string find_parameters(const std::string& path) {
  if (!fs::exists(path)) throw usage_error(fmt::format("{}: is not there", path));
  if (!fs::is_directory(path)) return path;
  const auto final_ones = fs::path(path) / "parameters.safetensors";
  if (fs::exists(final_ones)) return final_ones.string();
  const auto folder = checkpoint_folder(path);
  if (fs::is_directory(folder)) {
    const auto numbers = list_checkpoints(posix_file_system(), folder);
    if (!numbers.empty()) return checkpoint_path(folder, numbers.back());
  }
  throw usage_error(
      fmt::format("{}: is no run with parameters: it has neither parameters.safetensors nor a "
                  "checkpoint",
                  path));
}

std::string find_config(const std::string& parameters) {
  const auto folder = fs::absolute(parameters).parent_path();
  for (const auto& place : {folder, folder.parent_path()}) {
    const auto path = place / "config.toml";
    if (fs::exists(path)) return path.string();
  }
  return {};
}

void load_parameters(const std::string& path, const parameter_layout& layout,
                     parameter_buffer& parameters) {
  const auto file = find_parameters(path);
  if (file.ends_with(checkpoint_suffix)) {
    const auto [saved, values] = read_checkpoint(file);
    copy_tensors(file, tensors_of(saved, *values), layout, parameters);
  } else {
    copy_tensors(file, safetensors_file(file).tensors(), layout, parameters);
  }
}

}  // namespace rubato
