// A file as bytes in memory that the system reads when they are looked at. Not here: what they
// mean.
#pragma once

#include <string>

#include "bytes/bytes.hpp"

namespace rubato {

/// A regular file, mapped to be read. Its bytes stay where they are when it is moved. A file that
/// somebody cuts short meanwhile ends the process; Rubato replaces its files as a whole instead.
class mapped_file {
 public:
  /// Throws usage_error naming the path and the system's reason.
  explicit mapped_file(std::string path);
  ~mapped_file();
  mapped_file(mapped_file&& other) noexcept;
  mapped_file& operator=(mapped_file&&) = delete;

  const std::string& path() const { return path_; }
  byte_span bytes() const { return bytes_; }

  /// Tells the system that it will be read once, from its beginning to its end.
  void read_in_order() const;

 private:
  std::string path_;
  byte_span bytes_;
};

}  // namespace rubato
