// The folder of one run and the plain files in it: config.toml, metrics.jsonl, updates.jsonl,
// summary.json, parameters.safetensors. What goes into the lines is the caller's business.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "storage/file_system.hpp"

namespace rubato {

/// Appends lines to a file, buffered; flush() after each group. One thread at a time.
/// All throw file_error naming the path and the system's reason (disk full, ...).
class line_file {
 public:
  static constexpr std::uint64_t everything = std::numeric_limits<std::uint64_t>::max();

  /// Opens `path` for appending; creates it if it is not there. What is in it behind its first
  /// `keep` bytes is cut off, as for a run that goes on from an earlier moment; the file must have
  /// that many.
  explicit line_file(const std::string& path, std::uint64_t keep = everything,
                     file_system& files = posix_file_system());
  /// Writes what is left, without a word if that fails: flush() before, to know.
  ~line_file();
  line_file(const line_file&) = delete;
  line_file& operator=(const line_file&) = delete;

  /// `line` has no line break; one is added.
  void append(std::string_view line);
  /// Hands all appended lines to the system (not yet to the disk). What could not be written stays
  /// buffered, so that a later flush goes on where this one stopped.
  void flush();
  /// Brings all appended lines to the disk; returns the file's size, for `keep`.
  std::uint64_t sync();

 private:
  std::unique_ptr<writable_file> file_;
  std::string pending_;
};

enum class run_state : std::uint8_t {
  none,        // the folder holds no run, or is not there
  unfinished,  // there is a configuration, but no summary
  finished,
};

/// Immutable once constructed, so thread-safe.
class run_directory {
 public:
  /// Creates the folder (and parents). An empty `path` becomes runs/<name>-<date>-<time> (local
  /// time), made unique. Throws usage_error if the folder already holds a run (config.toml,
  /// metrics.jsonl, updates.jsonl or summary.json), or cannot be created or written.
  run_directory(std::string path, std::string_view name);

  /// To go on with a run. Throws usage_error if the folder holds none or cannot be written.
  static run_directory of_existing_run(std::string path);
  static run_state state(const std::string& path);

  const std::string& path() const { return path_; }
  /// The path of a file in the folder.
  std::string file(std::string_view name) const;

  /// Writes a whole file atomically (temporary file, fsync, rename). Throws run_error.
  void write(std::string_view name, std::string_view content) const;

 private:
  run_directory() = default;

  std::string path_;
};

}  // namespace rubato
