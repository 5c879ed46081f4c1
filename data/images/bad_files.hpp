// What becomes of files that are of no use, as data.bad_files says. Not here: what makes a file
// useless (image_codec, cifar).
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "data/images/image_codec.hpp"

namespace rubato {

/// The useless files of a data set, each counted once. Thread-safe.
class bad_files {
 public:
  explicit bad_files(const config& c) : skip_(c.data.bad_files == "skip") {}

  void add(const std::string& path, const bad_image& why);

  /// To be called after files were looked at, of which the data set has `total`. Throws usage_error
  /// with the counts and the first path if there was a useless one and it must not be skipped.
  void judge(std::size_t total) const;

  /// A sentence with the counts and the first path; none if all is well.
  std::vector<std::string> notes(std::size_t total) const;

 private:
  std::string summary(std::size_t total) const;

  bool skip_;
  mutable std::mutex mutex_;
  std::map<std::string, bad_image> faults_;  // by path
};

}  // namespace rubato
