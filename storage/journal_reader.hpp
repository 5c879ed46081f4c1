// Reads a journal: every record in order, each checked, none skipped.
//
// A power cut leaves the last group of records in any state: cut short, or with holes. Such a torn
// tail was never acknowledged; it is where the journal ends, and is reported. Damage that cannot be
// explained so, because something behind it proves that the damaged record was durable once, or in
// any segment but the last, is an error that names file and place.
// Nothing is changed on the disk: journal_writer cuts the tail off when it goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/file_header.hpp"
#include "storage/file_system.hpp"
#include "storage/journal_records.hpp"

namespace rubato {

struct journal_entry {
  std::uint64_t number = 0;
  journal_record content;
};

/// Gives memory of this many bytes for an update, or none: an empty span.
using update_room = std::function<std::span<std::byte>(std::size_t)>;

/// What was left of records that were being written when the run was killed.
struct torn_tail {
  std::string path;
  std::uint64_t offset = 0;  // of the first byte that does not count
  std::uint64_t bytes = 0;
  std::string reason;
};

/// Where a journal ends, for journal_writer to go on from.
struct journal_end {
  run_identity run;
  std::uint64_t segment = 0;       // the last one's number
  std::uint64_t segment_size = 0;  // its bytes that count
  std::uint64_t next_record = 0;
  std::optional<torn_tail> torn;
};

/// Whether there is anything to be read in the folder, which must exist. Throws file_error.
bool has_journal(file_system& files, const std::string& folder);

/// One thread at a time. Nobody may be writing to the journal. Whatever the bytes, the result is
/// the records that were written or a file_error; memory stays within the size of the largest
/// record, which is no larger than its file.
class journal_reader {
 public:
  /// Begins with record `from`: a checkpoint says that all before it are in there, and so that they
  /// are durable. Of those before it in the same segment only the frames are checked. Without
  /// `from` everything that was kept is read. Throws file_error, also if `from` is not kept any
  /// more.
  journal_reader(file_system& files, std::string folder,
                 std::optional<std::uint64_t> from = std::nullopt);
  ~journal_reader();

  /// Nothing at the end. What the entry refers to is valid until the next call; with `room` its
  /// update is where that says, so that a large one needs no copy. Throws file_error.
  std::optional<journal_entry> next(const update_room& room = {});
  /// Once next() has returned nothing; throws std::logic_error before.
  const journal_end& end() const;
  /// Where the journal would end if neither the record that next() gave last nor any behind it were
  /// there. Only after next() has given one.
  journal_end end_before_last() const;

  const run_identity& run() const { return end_.run; }
  /// Number of the first record that next() gives.
  std::uint64_t first_record() const { return first_record_; }

 private:
  class segment;

  void open(std::size_t index);
  void open_next();
  std::optional<journal_entry> read_record(const update_room& room);
  std::span<std::byte> content(std::uint64_t length);
  bool read_checked(byte_span header, std::span<std::byte> content, std::span<std::byte> update);
  void stop(std::uint64_t search_from, const std::string& reason);
  void finish();

  file_system& files_;
  std::string folder_;
  std::vector<std::uint64_t> segments_;  // their numbers
  std::size_t current_ = 0;              // index into these
  std::unique_ptr<segment> segment_;
  std::uint64_t offset_ = 0;       // of the next record, in the segment
  std::uint64_t last_offset_ = 0;  // of the one before it
  std::uint64_t first_record_ = 0;
  std::uint64_t from_ = 0;
  journal_end end_;  // as far as it is known
  bool ended_ = false;
  std::unique_ptr<std::byte[]> content_;
  std::uint64_t capacity_ = 0;
};

}  // namespace rubato
