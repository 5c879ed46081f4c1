// Writing to files with errors that a person can act on, and replacing a whole file atomically.
// What the files contain is the business of others.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rubato {

/// "cannot write PATH: REASON", from an errno value.
std::string cannot_write(const std::string& path, int error);

/// write(2), repeated when a signal interrupts it. `bytes` is not empty; returns how many of them
/// were written, at least one. Throws run_error naming the path.
std::size_t write_some(int descriptor, std::string_view bytes, const std::string& path);

/// A new content for `path` that takes the old one's place in commit(), as a whole and durably;
/// until then, and when anything fails, the old file stays as it is. One thread at a time.
class atomic_file {
 public:
  /// Opens a temporary file next to `path`. Throws run_error naming the path.
  explicit atomic_file(const std::string& path);
  ~atomic_file();
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;

  /// Throws run_error naming the path.
  void write(std::string_view bytes);
  /// fsync, rename, fsync of the folder. Throws run_error naming the path. Nothing may follow.
  void commit();

 private:
  std::string path_;
  std::string temporary_;  // empty once renamed
  int descriptor_ = -1;
};

}  // namespace rubato
