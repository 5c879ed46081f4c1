#include "data/images/bad_files.hpp"

#include <fmt/format.h>

namespace rubato {

void bad_files::add(const std::string& path, const bad_image& why) {
  const std::lock_guard lock(mutex_);
  faults_.emplace(path, why);
}

void bad_files::judge(std::size_t total) const {
  const std::lock_guard lock(mutex_);
  if (skip_ || faults_.empty()) return;
  throw usage_error(
      fmt::format("data.paths: {}; mend or remove {}, or set data.bad_files = "
                  "\"skip\"",
                  summary(total), faults_.size() == 1 ? "it" : "them"));
}

std::vector<std::string> bad_files::notes(std::size_t total) const {
  const std::lock_guard lock(mutex_);
  if (faults_.empty()) return {};
  return {fmt::format("{}; left out", summary(total))};
}

// "2 of 7 files cannot be used (1 empty, 1 cut short); the first: "a.png" is empty"
std::string bad_files::summary(std::size_t total) const {
  std::map<image_fault, std::size_t> counts;
  for (const auto& [path, why] : faults_) ++counts[why.fault()];
  std::string kinds;
  for (const auto& [fault, count] : counts) {
    kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", count, to_text(fault));
  }
  const auto& [path, why] = *faults_.begin();
  return fmt::format("{} of {} files cannot be used ({}); the first: \"{}\" is {}", faults_.size(),
                     total, kinds, path, why.what());
}

}  // namespace rubato
