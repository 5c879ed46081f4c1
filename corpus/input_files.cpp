#include "corpus/input_files.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "config/error.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

void collect(const fs::path& path, std::vector<std::string>& files) {
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().filename().string().starts_with(".")) continue;
    if (entry.is_directory()) {
      if (!entry.is_symlink()) collect(entry.path(), files);  // links might go round in circles
    } else if (entry.is_regular_file()) {
      files.push_back(entry.path().lexically_normal().string());
    }
  }
}

}  // namespace

std::vector<input_entry> find_inputs(const std::vector<std::string>& inputs) {
  std::vector<input_entry> found;
  std::set<std::string> known;
  for (std::size_t source = 0; source < inputs.size(); ++source) {
    const auto& input = inputs[source];
    std::vector<std::string> files;
    try {
      if (!fs::exists(input)) {
        throw usage_error(fmt::format("{} does not exist; name a file or folder with text", input));
      }
      if (fs::is_directory(input)) {
        collect(input, files);
      } else {
        files.push_back(fs::path(input).lexically_normal().string());
      }
    } catch (const fs::filesystem_error& error) {
      throw usage_error(fmt::format("cannot read {}: {}", input, error.code().message()));
    }
    std::sort(files.begin(), files.end());
    const auto before = found.size();
    for (const auto& path : files) {
      struct stat status {};
      if (::stat(path.c_str(), &status) != 0) {
        throw usage_error(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
      }
      if (status.st_size == 0) continue;
      if (!known.insert(path).second) {
        throw usage_error(fmt::format("{} is named twice; leave one out", path));
      }
      found.push_back(
          {path, source, static_cast<std::uint64_t>(status.st_size),
           std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec});
    }
    if (found.size() == before) {
      throw usage_error(fmt::format("{} holds no text, not one byte; leave it out", input));
    }
  }
  return found;
}

}  // namespace rubato
