#include "data/images/image_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "config/parallel.hpp"
#include "data/images/input_file.hpp"
#include "data/images/resample.hpp"
#include "data/permutation.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

constexpr normalisation imagenet = {{0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}};

usage_error folder_error(const fs::path& path, const std::string& message) {
  return usage_error(fmt::format("data.paths: \"{}\" {}", path.string(), message));
}

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

bool has_folders(const fs::path& path) {
  if (!fs::is_directory(path)) return false;
  const fs::directory_iterator entries(path);
  return std::any_of(begin(entries), end(entries),
                     [](const auto& entry) { return entry.is_directory(); });
}

/// Enough for the headers of nearly all images.
constexpr std::int64_t glance = 1 << 14;

std::optional<bad_image> look_at(const std::string& path) {
  try {
    input_file file(path);
    const auto head = file.read(0, glance);
    const auto tail = file.read(std::max<std::int64_t>(0, file.size() - glance), glance);
    try {
      check_image(head, tail);
    } catch (const bad_image& why) {
      if (why.fault() != image_fault::cut_short || file.size() <= glance) return why;
      const auto all = file.read_all();
      check_image(all, all);
    }
  } catch (const bad_image& why) {
    return why;
  }
  return {};
}

}  // namespace

image_folder::image_folder(const config& c, std::size_t threads, data_use use)
    : size_(c.data.image_size), bad_(c) {
  const auto& paths = c.data.paths;
  if (paths.size() != 1 || paths[0].size() != 1) {
    throw usage_error("data.paths must name one folder, as in data.paths = [\"pictures\"]");
  }
  const fs::path root = paths[0][0];
  const auto train = root / "train";
  const auto val = root / "val";
  bool has_parts = false;
  try {
    const bool evaluates = use == data_use::all;
    has_parts = evaluates ? fs::is_directory(train) && fs::is_directory(val) : has_folders(train);
    if (!has_parts && has_folders(train)) {
      throw folder_error(root,
                         "has train/ but no val/; add it, or name train/ itself to hold out a "
                         "share of its images");
    }
    for (const auto& entry : fs::directory_iterator(has_parts ? train : root)) {
      if (entry.is_directory() && !is_hidden(entry.path())) {
        classes_.push_back(entry.path().filename().string());
      }
    }
    std::sort(classes_.begin(), classes_.end());
    if (classes_.size() < 2) {
      throw folder_error(has_parts ? train : root,
                         fmt::format("has {} folders, but must have one for each class, two at "
                                     "least",
                                     classes_.size()));
    }
    training_ = find((has_parts ? train : root).string());
    if (has_parts && evaluates) held_out_ = find(val.string());
  } catch (const fs::filesystem_error& error) {
    throw folder_error(error.path1().empty() ? root : error.path1(),
                       fmt::format("cannot be read ({}); check the path and its permissions",
                                   error.code().message()));
  }
  leave_out_bad_files(training_, threads);
  leave_out_bad_files(held_out_, threads);
  bad_.judge(files_);
  check_classes(training_, has_parts ? 1 : 2);
  if (!has_parts) hold_out(c.data.held_out);
}

image_folder::part_data image_folder::find(const std::string& folder) {
  part_data part;
  part.folder = folder;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory() || is_hidden(entry.path())) continue;
    const auto name = entry.path().filename().string();
    if (!std::binary_search(classes_.begin(), classes_.end(), name)) {
      throw folder_error(entry.path(), "is a class to evaluate on that is not trained on");
    }
  }
  for (std::size_t k = 0; k < classes_.size(); ++k) {
    const auto of_class = fs::path(folder) / classes_[k];
    std::vector<std::string> names;
    if (fs::is_directory(of_class)) {
      for (fs::recursive_directory_iterator at(of_class), end; at != end; ++at) {
        if (is_hidden(at->path())) {
          at.disable_recursion_pending();
        } else if (at->is_regular_file() || (at->is_symlink() && !at->exists())) {
          names.push_back(at->path().lexically_relative(folder).string());
        }
      }
    }
    std::sort(names.begin(), names.end());
    part.labels.insert(part.labels.end(), names.size(), static_cast<std::int32_t>(k));
    std::move(names.begin(), names.end(), std::back_inserter(part.names));
  }
  files_ += part.names.size();
  return part;
}

void image_folder::leave_out_bad_files(part_data& part, std::size_t threads) {
  std::vector<char> is_good(part.names.size(), 1);
  in_parallel(part.names.size(), threads, [&](std::size_t i) {
    const auto path = part.path(i);
    if (const auto why = look_at(path)) {
      bad_.add(path, *why);
      is_good[i] = 0;
    }
  });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < is_good.size(); ++i) {
    if (!is_good[i]) continue;
    part.labels[kept] = part.labels[i];
    if (kept != i) part.names[kept] = std::move(part.names[i]);
    ++kept;
  }
  part.labels.resize(kept);
  part.names.resize(kept);
}

void image_folder::check_classes(const part_data& part, std::size_t at_least) const {
  std::vector<std::size_t> counts(classes_.size(), 0);
  for (const auto label : part.labels) ++counts[static_cast<std::size_t>(label)];
  for (std::size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] >= at_least) continue;
    throw folder_error(fs::path(part.folder) / classes_[k],
                       fmt::format("has {} usable images, but a class needs {}{}", counts[k],
                                   at_least, at_least == 2 ? ", as one is held out" : ""));
  }
}

void image_folder::hold_out(double share) {
  // In place of the run's seed: runs with different seeds must share their held-out images.
  constexpr std::uint64_t seed = 0;
  auto all = std::exchange(training_, {});
  training_.folder = held_out_.folder = all.folder;
  std::size_t begin = 0;
  while (begin < all.labels.size()) {
    const auto label = all.labels[begin];
    auto end = begin;
    while (end < all.labels.size() && all.labels[end] == label) ++end;
    const auto count = end - begin;
    const auto wanted = static_cast<std::size_t>(std::llround(share * static_cast<double>(count)));
    const auto taken = std::clamp<std::size_t>(wanted, 1, count - 1);
    for (std::size_t i = 0; i < count; ++i) {
      const auto place = permuted(i, count, seed, random_stream::held_out_split,
                                  {static_cast<std::uint64_t>(label), count});
      auto& part = place < taken ? held_out_ : training_;
      part.labels.push_back(label);
      part.names.push_back(std::move(all.names[begin + i]));
    }
    begin = end;
  }
}

data_shape image_folder::shape() const {
  return {3 * size_ * size_, static_cast<std::int64_t>(classes_.size()), 3, size_, size_};
}

bool image_folder::write(image_part part, std::size_t index, random_generator* augmentation,
                         float* values) const {
  const auto path = of(part).path(index);
  try {
    const auto picture = decode_image(input_file(path).read_all());
    if (augmentation) {
      const auto crop = random_crop(picture.height, picture.width, size_, *augmentation);
      const bool mirror = augmentation->below(2) == 1;
      resample(picture, crop, size_, mirror, imagenet, values);
    } else {
      resample(picture, central_crop(picture.height, picture.width, size_), size_, false, imagenet,
               values);
    }
    return true;
  } catch (const bad_image& why) {
    bad_.add(path, why);
    bad_.judge(files_);
    return false;
  }
}

}  // namespace rubato
