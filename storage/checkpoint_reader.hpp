// Reads checkpoints: the sections of one, each checked before it is handed out, and the newest one
// of a folder that is whole.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/checkpoint_format.hpp"
#include "storage/file_header.hpp"
#include "storage/file_system.hpp"

namespace rubato {

/// One thread at a time. Whatever the bytes, the result is what was written or a file_error that
/// names the file, and the place or section; memory stays within the size of the file.
class checkpoint_reader {
 public:
  /// Checks all but the content of the sections.
  checkpoint_reader(file_system& files, std::string path);

  const std::string& path() const { return path_; }
  const file_header& header() const { return header_; }
  /// In the order in which they were written.
  const std::vector<checkpoint_section>& sections() const { return sections_; }
  /// nullptr if there is none of that name.
  const checkpoint_section* find(std::string_view name) const;

  /// Fills `into` with the section; a section that is missing or has another size is an error.
  /// After an error `into` holds anything.
  void read(std::string_view name, std::span<std::byte> into);
  std::vector<std::byte> read(std::string_view name);
  /// Reads everything once.
  void verify();

 private:
  const checkpoint_section& get(std::string_view name) const;
  void read_frame();
  void check_zeros(std::uint64_t begin, std::uint64_t end);
  template <class Room>
  void check(const checkpoint_section& section, Room&& room);

  std::string path_;
  std::unique_ptr<readable_file> file_;
  file_header header_;
  std::vector<checkpoint_section> sections_;
};

/// The numbers of the checkpoints in a folder, ascending. Throws file_error.
std::vector<std::uint64_t> list_checkpoints(file_system& files, const std::string& folder);

std::string checkpoint_path(const std::string& folder, std::uint64_t number);

struct restored_checkpoint {
  std::optional<file_header> header;  // of the one that was taken; nothing: there was none
  std::vector<std::string> skipped;   // why newer ones were not, a line each
};

/// Gives the checkpoints of a folder to `load`, newest first, until it takes one without throwing
/// file_error. `load` reads what it needs, which is checked as it is read; what it may have filled
/// from a damaged one is filled again from the next. Other exceptions are passed on.
restored_checkpoint restore_newest(file_system& files, const std::string& folder,
                                   const std::function<void(checkpoint_reader&)>& load);

/// The newest that is whole: reads all of it.
restored_checkpoint newest_valid(file_system& files, const std::string& folder);

/// Removes all but the newest `keep` (at least 1) and, with `first_too`, the very first: oldest
/// first, and what a killed process has left. Throws file_error.
void keep_newest(file_system& files, const std::string& folder, std::size_t keep,
                 bool first_too = false);

}  // namespace rubato
