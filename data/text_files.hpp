// From entries such as those of data.paths to files and their contents, with an error for
// everything that a person can get wrong. Not here: what is done with the text.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "config/error.hpp"

namespace rubato {

/// How errors name the entries of a shard; it counts from 0.
std::string paths_of_shard(std::size_t shard);

/// The error for something wrong with entries that errors name `where`.
usage_error paths_error(const std::string& where, const std::string& message);

/// All files with at least one byte that the entries name, each once, sorted by path.
/// An entry is a file, a folder (all regular files below it; links to files are followed, links to
/// folders are not, so there are no cycles) or a pattern of glob(3) that matches such.
/// Throws usage_error if there are no entries, or one of them is missing, unreadable or without
/// any text.
std::vector<std::filesystem::path> find_files(const std::vector<std::string>& entries,
                                              const std::string& where);

/// The whole content of a file, as it is. Throws usage_error if it cannot be read.
std::string read_file(const std::filesystem::path& path, const std::string& where);

/// A short name for a shard: the last part of its first entry that has a letter and no wildcard
/// ("c++" for "/usr/include/c++/*"), or "shard N".
std::string shard_name(const std::vector<std::string>& entries, std::size_t shard);

}  // namespace rubato
