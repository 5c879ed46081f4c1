// The two kinds of error that reach a person, and the exit codes they end with.
// Not for programming mistakes: those are assertions or std::logic_error.
#pragma once

#include <stdexcept>

namespace rubato {

/// Wrong usage or input: the config, a file or an option is at fault. The message is one line that
/// names the file, key, value and what is allowed. Ends the program with exit code 2.
class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The run itself failed (an actor died, the disk is full, ...). Exit code 1.
class run_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a person is told when memory runs out.
inline constexpr const char* out_of_memory =
    "out of memory; use a smaller model or batch, or fewer workers or threads";

enum exit_code : int { exit_done = 0, exit_run_failed = 1, exit_usage = 2 };

}  // namespace rubato
