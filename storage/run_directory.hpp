// The folder of one run and the plain files in it: config.toml, metrics.jsonl, updates.jsonl,
// summary.json, parameters.safetensors. What goes into the lines is the caller's business.
#pragma once

#include <string>
#include <string_view>

namespace rubato {

/// Appends lines to a file, buffered; flush() after each group. One thread at a time.
/// All throw run_error naming the path and the system's reason (disk full, ...).
class line_file {
 public:
  /// Opens `path` for appending; creates it if it is not there.
  explicit line_file(const std::string& path);
  /// Writes what is left, without a word if that fails: flush() before, to know.
  ~line_file();
  line_file(const line_file&) = delete;
  line_file& operator=(const line_file&) = delete;

  /// `line` has no line break; one is added.
  void append(std::string_view line);
  /// Hands all appended lines to the system (not yet to the disk). What could not be written stays
  /// buffered, so that a later flush goes on where this one stopped.
  void flush();

 private:
  std::string path_;
  int descriptor_ = -1;
  std::string pending_;
};

/// Immutable once constructed, so thread-safe.
class run_directory {
 public:
  /// Creates the folder (and parents). An empty `path` becomes runs/<name>-<date>-<time> (local
  /// time), made unique. Throws usage_error if the folder already holds a run (config.toml,
  /// metrics.jsonl, updates.jsonl or summary.json), or cannot be created or written.
  run_directory(std::string path, std::string_view name);

  const std::string& path() const { return path_; }
  /// The path of a file in the folder.
  std::string file(std::string_view name) const;

  /// Writes a whole file atomically (temporary file, fsync, rename). Throws run_error.
  void write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
};

}  // namespace rubato
