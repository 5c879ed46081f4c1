#include "storage/file_io.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "config/error.hpp"

namespace rubato {

namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  throw run_error(cannot_write(path, error));
}

/// Without it a rename may be undone by a power cut.
void sync_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const int descriptor =
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(path, errno);
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some file systems cannot sync a folder and say EINVAL; there is nothing more to be done then.
  if (error != 0 && error != EINVAL) fail(path, error);
}

}  // namespace

std::string cannot_write(const std::string& path, int error) {
  return "cannot write " + path + ": " + std::generic_category().message(error);
}

std::size_t write_some(int descriptor, std::string_view bytes, const std::string& path) {
  for (;;) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written > 0) return static_cast<std::size_t>(written);
    if (written == 0) fail(path, EIO);
    if (errno != EINTR) fail(path, errno);
  }
}

atomic_file::atomic_file(const std::string& path) : path_(path) {
  static std::atomic<unsigned> counter = 0;
  // Unique among processes and threads, so that two writers of one path cannot mix their bytes.
  temporary_ = path + ".partial-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(path_, errno);
}

atomic_file::~atomic_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void atomic_file::write(std::string_view bytes) {
  while (!bytes.empty()) bytes.remove_prefix(write_some(descriptor_, bytes, path_));
}

void atomic_file::commit() {
  if (::fsync(descriptor_) != 0) fail(path_, errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail(path_, errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_, errno);
  temporary_.clear();
  sync_folder(path_);
}

}  // namespace rubato
