#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <vector>

#include "actors/parameter_file.hpp"
#include "app/commands.hpp"
#include "config/error.hpp"
#include "config/load.hpp"
#include "model/scripted_learner.hpp"
#include "monitoring/human.hpp"
#include "recovery/resume.hpp"
#include "recovery/snapshot.hpp"
#include "storage/checkpoint_reader.hpp"
#include "storage/file_io.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

/// The checkpoints that a path stands for, ascending: itself, or those of a run or folder.
std::vector<std::string> checkpoints_at(const std::string& path) {
  if (!fs::exists(path)) throw usage_error(path + ": is not there");
  if (!fs::is_directory(path)) return {path};
  const auto of_run = checkpoint_folder(path);
  const auto folder = fs::is_directory(of_run) ? of_run : path;
  std::vector<std::string> paths;
  for (const auto number : list_checkpoints(posix_file_system(), folder)) {
    paths.push_back(checkpoint_path(folder, number));
  }
  if (paths.empty()) throw usage_error(folder + ": has no checkpoints");
  return paths;
}

std::string utc(std::chrono::nanoseconds since_1970) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_1970).count();
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

/// Calls `read`, and tells what JSON does not have as an error of the file.
template <class Read>
auto content_of(const checkpoint_reader& file, Read&& read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& e) {
    throw run_error(fmt::format("{} is whole, but not a checkpoint of this program: {}",
                                file.path(), e.what()));
  }
}

void print_header(const checkpoint_reader& file) {
  const auto& header = file.header();
  fmt::print("{}\n", file.path());
  fmt::print("  run         {}, begun {}\n", to_string(header.run), utc(header.run.created));
  fmt::print("  checkpoint  {}, before record {} of the journal\n", header.number, header.record);
}

void print_sections(const checkpoint_reader& file) {
  fmt::print("\nSections\n");
  for (const auto& section : file.sections()) {
    fmt::print("  {:<32} {:>12}\n", section.name, human_bytes(section.size));
  }
}

/// The small state, one part after the other; the configuration as it is in config.toml.
void print_parts(checkpoint_reader& file) {
  snapshot_reader reader(file);
  for (const auto& name : reader.parts()) {
    auto values = reader.read(name).values;
    std::string settings;
    if (values.contains("config") && values["config"].is_string()) {
      settings = values["config"].get<std::string>();
      values.erase("config");
    }
    fmt::print("\n{}\n{}\n", name,
               values.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    if (!settings.empty()) fmt::print("\nconfiguration\n{}", settings);
  }
}

/// What `export` needs of a checkpoint.
struct checkpoint_content {
  parameter_layout layout;
  std::string model_origin;  // see learner::origin()
  replay_start start;
};

/// The file that the run's model came from, as far as is known here.
std::string find_module(const checkpoint_options& options, const std::string& checkpoint) {
  if (!options.module.empty()) return options.module;
  const auto settings = find_config(checkpoint);
  const auto path = settings.empty() ? std::string() : load_config(settings).model.path;
  if (fs::exists(path)) return path;
  throw usage_error(
      fmt::format("{}: the model's file, {}, is not here; say where it is with --model", checkpoint,
                  path.empty() ? "which config.toml beside the checkpoint would name" : path));
}

void save_module(const checkpoint_options& options, const std::string& checkpoint,
                 const checkpoint_content& content) {
  if (content.model_origin.empty()) {
    throw usage_error(fmt::format(
        "{}: its model is not one of TorchScript; name an --output that ends with .safetensors",
        checkpoint));
  }
  const auto bytes = export_scripted(find_module(options, checkpoint), content.model_origin,
                                     content.layout, content.start.parameters->span());
  atomic_file file(options.output);
  file.write(bytes);
  file.commit();
}

}  // namespace

int inspect_checkpoint(const checkpoint_options& options) {
  checkpoint_reader file(posix_file_system(), checkpoints_at(options.path).back());
  print_header(file);
  print_sections(file);
  content_of(file, [&] { print_parts(file); });
  return exit_done;
}

int verify_checkpoints(const checkpoint_options& options) {
  std::size_t damaged = 0;
  const auto paths = checkpoints_at(options.path);
  for (const auto& path : paths) {
    try {
      checkpoint_reader(posix_file_system(), path).verify();
      fmt::print("{}: whole\n", path);
    } catch (const file_error& e) {
      fmt::print("{}: DAMAGED: {}\n", path, e.what());
      damaged += 1;
    }
    std::fflush(stdout);
  }
  if (damaged == 0) return exit_done;
  throw run_error(fmt::format("{}: {} of {} damaged", options.path, damaged, paths.size()));
}

int export_checkpoint(const checkpoint_options& options) {
  checkpoint_reader file(posix_file_system(), checkpoints_at(options.path).back());
  const auto content = content_of(file, [&] {
    auto run = snapshot_reader(file).read(run_part);
    return checkpoint_content{layout_from(run.values.at("layout")),
                              run.values.value("model_origin", ""), take_merging(run)};
  });
  const bool as_module = fs::path(options.output).extension() == ".pt";
  if (as_module) {
    save_module(options, file.path(), content);
  } else {
    save_parameters(options.output, content.layout, *content.start.parameters);
  }
  fmt::print("{}: the {} of version {}, from {}\n", options.output,
             as_module ? "model with the parameters" : "parameters", content.start.version,
             file.path());
  return exit_done;
}

}  // namespace rubato
