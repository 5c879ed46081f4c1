// What storage needs of a file system, as an interface: the real one, and in tests one that loses
// power or runs full at a chosen moment (tests/storage/memory_file_system.hpp).
// What the files contain is the business of others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bytes/bytes.hpp"
#include "config/error.hpp"

namespace rubato {

/// A file could not be read or written, or what is in it is damaged: "cannot DO PATH: REASON".
class file_error : public run_error {
 public:
  file_error(std::string_view action, std::string_view path, std::string_view reason);

  /// The last part of the message, to be told again about another path.
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

/// One thread at a time. Everything throws file_error.
class readable_file {
 public:
  virtual ~readable_file() = default;

  /// In bytes, when it was opened.
  virtual std::uint64_t size() const = 0;
  /// Fills all of `into` from this place on; that the file ends sooner is an error.
  virtual void read(std::uint64_t offset, std::span<std::byte> into) = 0;
};

/// One thread at a time. Everything throws file_error. The destructor closes without a sync.
class writable_file {
 public:
  virtual ~writable_file() = default;

  /// In bytes; right also after an append that failed half-way.
  virtual std::uint64_t size() const = 0;
  /// All pieces, in order, behind the end of the file.
  virtual void append(std::span<const byte_span> pieces) = 0;
  virtual void truncate(std::uint64_t size) = 0;
  /// Returns when all bytes, and the size, would survive a power cut. After a failure nobody knows
  /// what is on the disk, and trying again proves nothing: the file must be given up.
  virtual void sync() = 0;
};

/// Thread-safe, for different files. Everything throws file_error naming path and reason.
class file_system {
 public:
  virtual ~file_system() = default;

  virtual std::unique_ptr<readable_file> open_to_read(const std::string& path) = 0;
  /// Creates the file if there is none.
  virtual std::unique_ptr<writable_file> open_to_append(const std::string& path) = 0;
  /// Replaces `to` as a whole. Like a new file's name, it survives a power cut only after
  /// sync_folder(); the same is true for remove().
  virtual void rename(const std::string& from, const std::string& to) = 0;
  virtual void remove(const std::string& path) = 0;
  virtual void sync_folder(const std::string& path) = 0;
  /// Durably; nothing happens if it is there. The folder above must exist.
  virtual void create_folder(const std::string& path) = 0;
  /// Names of the plain files in it, sorted.
  virtual std::vector<std::string> list(const std::string& folder) = 0;
};

/// The one of the operating system. Short writes and interruptions by signals are taken care of.
file_system& posix_file_system();

/// The folder that a path lies in: "." where it names none.
std::string folder_of(const std::string& path);

}  // namespace rubato
