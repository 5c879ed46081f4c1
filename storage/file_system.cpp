#include "storage/file_system.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

namespace rubato {

namespace {

[[noreturn]] void fail(std::string_view action, std::string_view path, int error) {
  throw file_error(action, path, std::generic_category().message(error));
}

/// Calls until no signal interrupts; returns what the call did.
template <class Call>
auto uninterrupted(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class descriptor {
 public:
  /// Throws file_error.
  descriptor(const std::string& path, int flags, std::string_view action)
      : number_(
            uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode_t{0666}); })) {
    if (number_ < 0) fail(action, path, errno);
  }
  ~descriptor() { ::close(number_); }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;

  int number() const { return number_; }

 private:
  int number_;
};

struct stat status_of(const descriptor& file, std::string_view action, const std::string& path) {
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) fail(action, path, errno);
  return status;
}

class posix_readable_file : public readable_file {
 public:
  explicit posix_readable_file(const std::string& path)
      : path_(path), file_(path, O_RDONLY | O_NONBLOCK, "read") {  // a pipe would block here
    const struct stat status = status_of(file_, "read", path);
    if (!S_ISREG(status.st_mode)) throw file_error("read", path, "it is not a plain file");
    size_ = static_cast<std::uint64_t>(status.st_size);
    ::posix_fadvise(file_.number(), 0, 0, POSIX_FADV_SEQUENTIAL);  // a hint: may fail
  }

  std::uint64_t size() const override { return size_; }

  void read(std::uint64_t offset, std::span<std::byte> into) override {
    while (!into.empty()) {
      const ssize_t got = uninterrupted([&] {
        return ::pread(file_.number(), into.data(), into.size(), static_cast<off_t>(offset));
      });
      if (got < 0) fail("read", path_, errno);
      if (got == 0) throw file_error("read", path_, fmt::format("it ends at byte {}", offset));
      into = into.subspan(static_cast<std::size_t>(got));
      offset += static_cast<std::uint64_t>(got);
    }
  }

 private:
  std::string path_;
  descriptor file_;
  std::uint64_t size_ = 0;
};

class posix_writable_file : public writable_file {
 public:
  explicit posix_writable_file(const std::string& path)
      : path_(path),
        file_(path, O_WRONLY | O_CREAT | O_APPEND, "write"),
        size_(static_cast<std::uint64_t>(status_of(file_, "write", path).st_size)) {}

  std::uint64_t size() const override { return size_; }

  void append(std::span<const byte_span> pieces) override {
    std::vector<iovec> rest;
    rest.reserve(pieces.size());
    for (const byte_span piece : pieces) {
      // writev takes pointers that are not const, but only reads.
      if (!piece.empty()) rest.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
    }
    std::span<iovec> left(rest);
    while (!left.empty()) {
      const int count = static_cast<int>(std::min<std::size_t>(left.size(), IOV_MAX));
      const ssize_t done =
          uninterrupted([&] { return ::writev(file_.number(), left.data(), count); });
      if (done <= 0) fail("write", path_, done < 0 ? errno : EIO);
      size_ += static_cast<std::uint64_t>(done);
      left = without_first(left, static_cast<std::size_t>(done));
    }
  }

  void truncate(std::uint64_t size) override {
    if (uninterrupted([&] { return ::ftruncate(file_.number(), static_cast<off_t>(size)); }) != 0) {
      fail("truncate", path_, errno);
    }
    size_ = size;
  }

  void sync() override {
    if (uninterrupted([&] { return ::fdatasync(file_.number()); }) != 0) fail("sync", path_, errno);
  }

 private:
  static std::span<iovec> without_first(std::span<iovec> pieces, std::size_t bytes) {
    while (!pieces.empty() && bytes >= pieces.front().iov_len) {
      bytes -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (bytes > 0) {
      pieces.front().iov_base = static_cast<std::byte*>(pieces.front().iov_base) + bytes;
      pieces.front().iov_len -= bytes;
    }
    return pieces;
  }

  std::string path_;
  descriptor file_;
  std::uint64_t size_;
};

class posix_files : public file_system {
 public:
  std::unique_ptr<readable_file> open_to_read(const std::string& path) override {
    return std::make_unique<posix_readable_file>(path);
  }

  std::unique_ptr<writable_file> open_to_append(const std::string& path) override {
    return std::make_unique<posix_writable_file>(path);
  }

  void rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) {
      fail("rename", fmt::format("{} to {}", from, to), errno);
    }
  }

  void remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) fail("remove", path, errno);
  }

  void sync_folder(const std::string& path) override {
    const descriptor folder(path, O_RDONLY | O_DIRECTORY, "sync");
    // Some file systems cannot sync a folder and say EINVAL; there is nothing more to be done then.
    if (uninterrupted([&] { return ::fsync(folder.number()); }) != 0 && errno != EINVAL) {
      fail("sync", path, errno);
    }
  }

  void create_folder(const std::string& path) override {
    if (::mkdir(path.c_str(), 0777) == 0) {
      sync_folder(folder_of(path));
      return;
    }
    const int error = errno;
    std::error_code unknown;
    if (error != EEXIST || !std::filesystem::is_directory(path, unknown)) {
      fail("create", path, error);
    }
  }

  std::vector<std::string> list(const std::string& folder) override {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator entry(folder, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      std::error_code vanished;
      if (entry->is_regular_file(vanished)) names.push_back(entry->path().filename().string());
    }
    if (error) throw file_error("list", folder, error.message());
    std::sort(names.begin(), names.end());
    return names;
  }
};

}  // namespace

file_error::file_error(std::string_view action, std::string_view path, std::string_view reason)
    : run_error(fmt::format("cannot {} {}: {}", action, path, reason)), reason_(reason) {}

file_system& posix_file_system() {
  static posix_files files;
  return files;
}

std::string folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

}  // namespace rubato
