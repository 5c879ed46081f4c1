#include "data/images/cifar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "data/images/bad_files.hpp"
#include "data/images/input_file.hpp"
#include "data/images/stored_images.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t size = 32;
constexpr std::size_t values = 3 * size * size;

struct version {
  std::int64_t classes;
  std::size_t labels;  // bytes before the pixels of a record; the last is the class
  std::string_view training_files;
  std::string_view held_out_file;
  normalisation how;
};

// Means and deviations are those of the training images.
constexpr version cifar10 = {10,
                             1,
                             "data_batch_",
                             "test_batch.bin",
                             {{0.4914F, 0.4822F, 0.4465F}, {0.2470F, 0.2435F, 0.2616F}}};
constexpr version cifar100 = {
    100, 2, "train.bin", "test.bin", {{0.5071F, 0.4865F, 0.4409F}, {0.2673F, 0.2564F, 0.2762F}}};

bool starts_with(const fs::path& path, std::string_view start) {
  return path.filename().string().starts_with(start);
}

std::vector<fs::path> find_files(const config& c, const version& v) {
  std::vector<fs::path> files;
  for (const auto& entries : c.data.paths) {
    for (const auto& entry : entries) {
      std::error_code code;
      if (fs::is_regular_file(entry, code)) {
        files.emplace_back(entry);
      } else if (fs::is_directory(entry, code)) {
        for (const auto& found : fs::directory_iterator(entry, code)) {
          const auto& path = found.path();
          const bool known = path.filename() == v.held_out_file ||
                             (starts_with(path, v.training_files) && path.extension() == ".bin");
          if (known) files.push_back(path);
        }
      } else if (!code || code == std::errc::no_such_file_or_directory) {
        throw usage_error(
            fmt::format("data.paths: \"{}\" is no file or folder; correct it", entry));
      }
      if (code) {
        throw usage_error(
            fmt::format("data.paths: \"{}\" cannot be read ({}); check its "
                        "permissions",
                        entry, code.message()));
      }
    }
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

/// Appends the records of a file. Throws bad_image, and then has appended nothing.
void append(const fs::path& path, const version& v, stored_images::part_data& part) {
  const auto bytes = input_file(path.string()).read_all();
  const auto record = v.labels + values;
  if (bytes.empty()) throw bad_image(image_fault::empty);
  if (bytes.size() % record != 0) {
    throw bad_image(image_fault::cut_short,
                    fmt::format("{} bytes, no multiple of {}", bytes.size(), record));
  }
  for (std::size_t at = v.labels - 1; at < bytes.size(); at += record) {
    if (bytes[at] < v.classes) continue;
    throw bad_image(image_fault::damaged, fmt::format("record {} is of class {}, but there are {}",
                                                      at / record, bytes[at], v.classes));
  }
  for (auto at = bytes.begin(); at != bytes.end(); at += values) {
    at += static_cast<std::ptrdiff_t>(v.labels);
    part.labels.push_back(at[-1]);
    part.pixels.insert(part.pixels.end(), at, at + values);
  }
}

}  // namespace

std::unique_ptr<image_set> read_cifar(const config& c, data_use use) {
  const auto& v = c.data.kind == "cifar10" ? cifar10 : cifar100;
  stored_images::part_data training, held_out;
  bad_files bad(c);
  const bool evaluates = use == data_use::all;
  const auto files = find_files(c, v);
  for (const auto& path : files) {
    const bool is_held_out = starts_with(path, "test");
    if (is_held_out && !evaluates) continue;
    try {
      append(path, v, is_held_out ? held_out : training);
    } catch (const bad_image& why) {
      bad.add(path.string(), why);
    }
  }
  bad.judge(files.size());
  const auto missing = [&](std::string_view purpose, const std::string& name) {
    return usage_error(
        fmt::format("data.paths: there are no images to {}; name the folder that "
                    "holds {} and the other files of data.kind = \"{}\"",
                    purpose, name, c.data.kind));
  };
  if (training.labels.empty()) {
    throw missing("train on", fmt::format("{}", c.data.kind == "cifar10" ? "data_batch_1.bin"
                                                                         : v.training_files));
  }
  if (evaluates && held_out.labels.empty()) {
    throw missing("evaluate on", std::string(v.held_out_file));
  }
  return std::make_unique<stored_images>(size, v.classes, v.how, std::move(training),
                                         std::move(held_out), bad.notes(files.size()));
}

}  // namespace rubato
