// Replacing a whole file atomically, and files that are numbered one after another.
// What the files contain is the business of others.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/file_system.hpp"

namespace rubato {

/// A new content for `path` that takes the old one's place in commit(), as a whole and durably;
/// until then, and when anything fails, the old file stays as it is. One thread at a time.
/// Everything throws file_error naming the path, "cannot write PATH: REASON".
class atomic_file {
 public:
  /// Opens a temporary file next to `path`, of a name that is no other process's.
  explicit atomic_file(std::string path, file_system& files = posix_file_system());
  ~atomic_file();
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;

  void write(std::string_view text) { write(as_bytes(text)); }
  void write(byte_span bytes);
  /// Brings to the disk what was written so far, to leave commit() little to do.
  void sync();
  /// Sync, rename, sync of the folder. Nothing may follow.
  void commit();

 private:
  template <class Step>
  void attempt(Step&& step);

  std::string path_;
  file_system& files_;
  std::string temporary_;  // empty once renamed
  std::unique_ptr<writable_file> file_;
};

/// Removes what atomic_file leaves in a folder when its process is killed. Nobody may be writing
/// there. Throws file_error.
void remove_leftovers(file_system& files, const std::string& folder);

/// FOLDER/000000000017SUFFIX.
std::string numbered_path(const std::string& folder, std::uint64_t number, std::string_view suffix);

/// The numbers of the files of that form in a folder, ascending. Throws file_error.
std::vector<std::uint64_t> list_numbered(file_system& files, const std::string& folder,
                                         std::string_view suffix);

}  // namespace rubato
