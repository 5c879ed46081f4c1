// Keeps a second process off a run directory.
#pragma once

#include <string>

namespace rubato {

/// Held from construction to destruction, or to the end of the process however it ends: the system
/// gives it back, so that a killed run leaves nothing to be cleaned up. Protects against other
/// processes, and against a second lock in this one.
class run_lock {
 public:
  /// Locks FOLDER/run.lock, a file with the process id in it that is left where it is. Throws
  /// run_error: the folder is in use (naming the process that has it), or cannot be written.
  explicit run_lock(const std::string& folder);
  ~run_lock();
  run_lock(const run_lock&) = delete;
  run_lock& operator=(const run_lock&) = delete;

 private:
  int descriptor_;
};

}  // namespace rubato
