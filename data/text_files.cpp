#include "data/text_files.hpp"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <system_error>

namespace rubato {
namespace {

namespace fs = std::filesystem;

bool has_wildcard(std::string_view text) {
  return text.find_first_of("*?[") != std::string_view::npos;
}

std::vector<fs::path> matches(const std::string& pattern) {
  glob_t found{};
  const std::unique_ptr<glob_t, decltype(&globfree)> release(&found, globfree);
  if (glob(pattern.c_str(), 0, nullptr, &found) != 0) return {};
  return {found.gl_pathv, found.gl_pathv + found.gl_pathc};
}

// Appends the files at `path`, which exists.
void collect(const fs::path& path, const std::string& where, std::vector<fs::path>& files) {
  try {
    if (fs::is_regular_file(path)) {
      if (fs::file_size(path) > 0) files.push_back(path.lexically_normal());
      return;
    }
    if (!fs::is_directory(path)) {
      throw paths_error(where, fmt::format("\"{}\" is neither a file nor a folder; take it out of "
                                           "the list",
                                           path.string()));
    }
    for (const auto& entry : fs::directory_iterator(path)) {
      if (entry.is_symlink() && !entry.exists()) {
        throw paths_error(where, fmt::format("\"{}\" is a link to nothing; remove it or name the "
                                             "files beside it with a pattern",
                                             entry.path().string()));
      }
      if (entry.is_regular_file() || (entry.is_directory() && !entry.is_symlink())) {
        collect(entry.path(), where, files);
      }
    }
  } catch (const fs::filesystem_error& error) {
    const auto& at = error.path1().empty() ? path : error.path1();
    throw paths_error(where, fmt::format("\"{}\" cannot be read ({}); check its permissions",
                                         at.string(), error.code().message()));
  }
}

}  // namespace

std::string paths_of_shard(std::size_t shard) {
  return fmt::format("data.paths, shard {}", shard);
}

usage_error paths_error(const std::string& where, const std::string& message) {
  return usage_error(fmt::format("{}: {}", where, message));
}

std::vector<fs::path> find_files(const std::vector<std::string>& entries,
                                 const std::string& where) {
  if (entries.empty()) {
    throw paths_error(where, "the list is empty; give at least one file, folder or pattern");
  }
  std::vector<fs::path> files;
  for (const auto& entry : entries) {
    const auto before = files.size();
    std::error_code code;
    const auto status = fs::status(entry, code);
    if (fs::exists(status)) {
      collect(entry, where, files);
    } else if (has_wildcard(entry)) {
      const auto found = matches(entry);
      if (found.empty()) {
        throw paths_error(
            where, fmt::format("the pattern \"{}\" matches nothing; correct it or take it out of "
                               "the list",
                               entry));
      }
      for (const auto& path : found) collect(path, where, files);
    } else if (status.type() == fs::file_type::not_found) {
      throw paths_error(where, fmt::format("\"{}\" does not exist; correct the path or take it out "
                                           "of the list",
                                           entry));
    } else {
      throw paths_error(where, fmt::format("\"{}\" cannot be read ({}); check its permissions",
                                           entry, code.message()));
    }
    if (files.size() == before) {
      throw paths_error(where, fmt::format("\"{}\" holds nothing, not one byte; correct the path "
                                           "or take it out of the list",
                                           entry));
    }
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

std::string read_file(const fs::path& path, const std::string& where) {
  const auto unreadable = [&] {
    return paths_error(where, fmt::format("\"{}\" cannot be read ({}); check its permissions or "
                                          "take it out of the list",
                                          path.string(), std::strerror(errno)));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (!file) throw unreadable();
  std::string text;
  std::array<char, 1 << 16> piece;
  while (const auto length = std::fread(piece.data(), 1, piece.size(), file.get())) {
    text.append(piece.data(), length);
  }
  if (std::ferror(file.get())) throw unreadable();
  return text;
}

std::string shard_name(const std::vector<std::string>& entries, std::size_t shard) {
  const auto is_letter = [](unsigned char byte) {
    return byte >= 0x80 || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
  };
  if (!entries.empty()) {
    for (fs::path path = entries.front(); path != path.root_path(); path = path.parent_path()) {
      auto part = path.filename().string();
      if (!has_wildcard(part) && std::any_of(part.begin(), part.end(), is_letter)) return part;
    }
  }
  return fmt::format("shard {}", shard);
}

}  // namespace rubato
