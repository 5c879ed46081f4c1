// A file system in memory that can be hurt: it loses power, with everything that was not synced, or
// fails at a chosen operation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/error.hpp"
#include "storage/file_system.hpp"

namespace rubato {

/// Thrown at the moment of a crash and by every operation after it, until the machine is started
/// again. No file_error, so that nobody takes it for something to be dealt with.
class power_cut : public run_error {
 public:
  power_cut() : run_error("the power is off") {}
};

/// One thread at a time. Operations are those that change something: appending, truncating,
/// syncing, creating a file, renaming, removing, syncing or creating a folder.
class memory_file_system : public file_system {
 public:
  enum class fault {
    disk_full,  // an append writes half of its bytes, then fails
    io_error,   // nothing is done
    crash,      // an append writes half of its bytes, anything else nothing; then the power is off
  };
  /// What a power cut leaves of the things that were not synced.
  enum class survival { nothing, everything, chance };

  /// The n-th operation from now on fails; 1 is the next.
  void fail_at(std::uint64_t operation, fault what);
  /// A power cut, or where `everything` survives a killed process; then the machine runs again.
  /// `seed` decides what survives by chance: of each file any blocks of 512 bytes and any size, of
  /// the names in folders the state at any moment since the last sync, and any removals since then.
  void restart(survival what, std::uint64_t seed = 0);

  std::uint64_t operations() const { return operations_; }
  /// How many of them synced a file.
  std::uint64_t syncs() const { return syncs_; }

  bool holds(const std::string& path) const { return names_.count(path) > 0; }
  std::string content(const std::string& path) const;
  /// Durably, without counting as an operation.
  void set_content(const std::string& path, std::string_view bytes);

  std::unique_ptr<readable_file> open_to_read(const std::string& path) override;
  std::unique_ptr<writable_file> open_to_append(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void remove(const std::string& path) override;
  void sync_folder(const std::string& path) override;
  void create_folder(const std::string& path) override;
  std::vector<std::string> list(const std::string& folder) override;

 private:
  struct stored_file {
    std::vector<std::byte> bytes;    // as a running system sees them
    std::vector<std::byte> durable;  // on the disk
  };
  using file_ptr = std::shared_ptr<stored_file>;
  using name_table = std::map<std::string, file_ptr>;
  class reading;
  class writing;

  /// Counts an operation; returns the fault that it must suffer.
  std::optional<fault> begin();
  void begin_or_throw(std::string_view action, const std::string& path);
  void require_power() const;
  void names_changed() { history_.push_back(names_); }

  name_table names_;
  std::vector<name_table> history_{1};  // since the last sync, the durable state first
  std::set<std::string> removed_;       // since then
  std::set<std::string> folders_;
  std::uint64_t operations_ = 0;
  std::uint64_t syncs_ = 0;
  std::uint64_t failing_operation_ = 0;  // 0: none
  fault fault_ = fault::crash;
  bool power_ = true;
};

}  // namespace rubato
