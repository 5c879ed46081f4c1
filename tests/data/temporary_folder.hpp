// A folder of made-up files that is gone when the test ends.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "config/random.hpp"

namespace rubato::test {

class temporary_folder {
 public:
  temporary_folder() {
    static std::atomic<int> count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("rubato-data-" + std::to_string(getpid()) + "-" + std::to_string(++count));
    std::filesystem::create_directories(path_);
  }
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string string() const { return path_.string(); }

  /// Writes a file, with the folders it is in, and returns its path.
  std::string write(const std::string& name, std::string_view text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return *this / name;
  }

 private:
  std::filesystem::path path_;
};

/// `bytes` bytes of random words in lines; no two keys give similar texts.
inline std::string words(std::uint64_t key, std::size_t bytes) {
  random_generator random(key, random_stream::test);
  std::string text;
  while (text.size() < bytes) {
    for (auto letters = 3 + random.below(6); letters > 0; --letters) {
      text += static_cast<char>('a' + random.below(26));
    }
    text += random.below(8) == 0 ? '\n' : ' ';
  }
  text.resize(bytes);
  return text;
}

}  // namespace rubato::test
