#include "data/tokens/mapped_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "config/error.hpp"

namespace rubato {

mapped_file::mapped_file(std::string path) : path_(std::move(path)) {
  const auto unreadable = [&](const char* reason) {
    return usage_error(fmt::format("cannot read {}: {}", path_, reason));
  };
  const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw unreadable(std::strerror(errno));
  struct stat status {};
  const char* reason = nullptr;
  if (::fstat(file, &status) != 0) {
    reason = std::strerror(errno);
  } else if (!S_ISREG(status.st_mode)) {
    reason = "it is not a file";
  } else if (status.st_size > 0) {  // nothing cannot be mapped
    const auto size = static_cast<std::size_t>(status.st_size);
    void* start = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
    if (start == MAP_FAILED) {
      reason = std::strerror(errno);
    } else {
      bytes_ = {static_cast<const std::byte*>(start), size};
    }
  }
  ::close(file);
  if (reason) throw unreadable(reason);
}

mapped_file::~mapped_file() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

mapped_file::mapped_file(mapped_file&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

void mapped_file::read_in_order() const {
  if (bytes_.empty()) return;
  ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_SEQUENTIAL);
}

}  // namespace rubato
