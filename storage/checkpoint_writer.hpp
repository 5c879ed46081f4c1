// Writes a checkpoint: a file of named sections, in slices of the caller's choice, so that it can
// do other things in between. What the sections mean is the caller's business.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/checkpoint_format.hpp"
#include "storage/file_header.hpp"
#include "storage/file_io.hpp"

namespace rubato {

/// Nothing is to be seen of it until commit(); destroyed before, it leaves no trace. One thread at
/// a time. Everything throws file_error (disk full, ...), after which only destruction is left.
class checkpoint_writer {
 public:
  /// `header.number` names it: a later one has a higher number. All records of the journal before
  /// `header.record` are in it; they must be durable. The folder is created if it is missing.
  checkpoint_writer(file_system& files, const std::string& folder, const file_header& header);

  /// Ends the section before, if any. Throws std::invalid_argument if the name repeats.
  void begin_section(std::string_view name);
  /// The next bytes of the section; throws std::logic_error if none was begun. They are not copied:
  /// the system has them on return.
  void write(byte_span slice);
  /// Brings to the disk what was written so far. Now and then, so that neither commit() nor a sync
  /// of the journal on the same disk has to wait for the whole of it.
  void sync();
  /// Makes it durable, in the place of one of the same number.
  void commit();

 private:
  void put(byte_span bytes);
  void pad();

  std::uint64_t position_ = 0;
  std::vector<checkpoint_section> sections_;
  std::set<std::string, std::less<>> names_;
  atomic_file file_;
};

}  // namespace rubato
