// A program that a benchmark starts next to itself, with a pipe to its standard input and one from
// its standard output. What it says on standard error is kept for when it fails.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rubato {

/// Ends with its owner, if not before: its standard input is closed, and it is killed.
class child_process {
 public:
  /// The first word is the program, looked for in the PATH. Throws run_error.
  explicit child_process(std::vector<std::string> words);
  ~child_process();
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  /// To its standard input. That it has ended is no error here; read_line() will tell.
  void write_line(std::string line);
  /// The next line that it prints, without its end; nothing if it prints no more.
  std::optional<std::string> read_line();
  /// All that it still prints, until it has ended. Throws run_error unless it ends well.
  std::string finish();
  /// What it has said on standard error.
  std::string errors() const;
  /// The most memory that it had, in bytes; after finish().
  std::uint64_t peak_memory() const { return peak_memory_; }

  pid_t id() const { return id_; }

 private:
  std::string name_;
  pid_t id_ = -1;
  std::uint64_t peak_memory_ = 0;
  int input_ = -1;   // we write
  int output_ = -1;  // we read
  int errors_ = -1;  // a file without a name
};

/// This program itself.
std::string this_program();

}  // namespace rubato
