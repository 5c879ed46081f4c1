#include "storage/run_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "config/error.hpp"

namespace rubato {

namespace {

/// The process id in the file, as far as it can be told.
std::string holder(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t length = ::pread(descriptor, text.data(), text.size(), 0);
  std::string digits;
  for (ssize_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; ++i) digits += text[i];
  return digits.empty() ? "another process" : fmt::format("process {}", digits);
}

}  // namespace

run_lock::run_lock(const std::string& folder) {
  const std::string path = folder + "/run.lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    throw run_error(
        fmt::format("cannot lock {}: {}", path, std::generic_category().message(errno)));
  }
  std::string failure;
  const std::string process = fmt::format("{}\n", ::getpid());
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    failure = errno == EWOULDBLOCK
                  ? fmt::format("{} is in use by {}; wait for it to end, or give another folder",
                                folder, holder(descriptor_))
                  : fmt::format("cannot lock {}: {}", path, std::generic_category().message(errno));
  } else if (::ftruncate(descriptor_, 0) != 0 ||
             ::pwrite(descriptor_, process.data(), process.size(), 0) < 0) {
    failure = fmt::format("cannot write {}: {}", path, std::generic_category().message(errno));
  }
  if (!failure.empty()) {
    ::close(descriptor_);
    throw run_error(failure);
  }
}

run_lock::~run_lock() {
  ::close(descriptor_);
}

}  // namespace rubato
