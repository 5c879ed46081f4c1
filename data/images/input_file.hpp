// Reading parts of a file whose bytes may be of no use. Not here: text files (text_files).
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace rubato {

/// A regular file, opened to be read. All members throw bad_image, "unreadable" with the system's
/// reason. Not thread-safe.
class input_file {
 public:
  explicit input_file(const std::string& path);

  std::int64_t size() const { return size_; }
  /// The `count` bytes from `offset` on, or what there is of them.
  std::vector<std::uint8_t> read(std::int64_t offset, std::int64_t count);
  std::vector<std::uint8_t> read_all() { return read(0, size_); }

 private:
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::int64_t size_ = 0;
};

}  // namespace rubato
