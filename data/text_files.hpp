// From the entries of data.paths to files and their contents, with an error for everything that a
// person can get wrong. Not here: what is done with the text.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "config/error.hpp"

namespace rubato {

/// The error for something wrong with data.paths; `shard` counts from 0.
usage_error paths_error(std::size_t shard, const std::string& message);

/// All files with at least one byte that the entries of a shard name, each once, sorted by path.
/// An entry is a file, a folder (all regular files below it; links to files are followed, links to
/// folders are not, so there are no cycles) or a pattern of glob(3) that matches such.
/// Throws usage_error if there are no entries, or one of them is missing, unreadable or without
/// any text.
std::vector<std::filesystem::path> find_files(const std::vector<std::string>& entries,
                                              std::size_t shard);

/// The whole content of a file, as it is. Throws usage_error if it cannot be read.
std::string read_file(const std::filesystem::path& path, std::size_t shard);

/// A short name for a shard: the last part of its first entry that has a letter and no wildcard
/// ("c++" for "/usr/include/c++/*"), or "shard N".
std::string shard_name(const std::vector<std::string>& entries, std::size_t shard);

}  // namespace rubato
