// Writes a journal: the log that says in which order things happened, ahead of their effects.
// Records are appended in memory and become durable in groups: one sync of the disk for all that
// happened since the last one. docs/formats.md has the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "storage/file_system.hpp"
#include "storage/journal_reader.hpp"
#include "storage/journal_records.hpp"
#include "storage/run_identity.hpp"

namespace rubato {

struct journal_options {
  /// A segment is ended by the first group with which it has this size, in bytes. A group is never
  /// divided, so segments can be larger.
  std::uint64_t segment_bytes = std::uint64_t{256} << 20;
  /// The number that a new journal begins with, where a checkpoint says what came before.
  std::uint64_t first_record = 0;
};

/// One thread at a time; one writer for a folder (run_lock). After commit() has failed nobody knows
/// what is on the disk: commit() and append() then throw std::logic_error. Begin again with a
/// journal_reader.
class journal_writer {
 public:
  /// A new journal, in a folder that is created if it is missing. Throws file_error, also if there
  /// is a journal already.
  journal_writer(file_system& files, std::string folder, const run_identity& run,
                 journal_options options = {});
  /// Goes on with a journal where a reader found its end: cuts off the torn tail, and makes durable
  /// what was read, which a killed process may have left in the system's memory. Before that,
  /// nothing that was read may have an effect outside. Throws file_error.
  journal_writer(file_system& files, std::string folder, const journal_end& end,
                 journal_options options = {});

  /// Adds a record to the current group and returns its number. The update of a settle record is
  /// not copied: it must stay as it is until commit(). Throws std::length_error for one of more
  /// than 1 TiB.
  std::uint64_t append(const journal_record& record);
  /// Returns when all records that were appended are durable; does nothing if there are none.
  /// Throws file_error (disk full, ...); what was committed before stays valid.
  void commit();

  /// The number that the next record will have.
  std::uint64_t next_record() const { return next_record_; }
  /// All records before this one are durable.
  std::uint64_t durable_before() const { return durable_before_; }

  /// Removes the segments that hold only records before this one, oldest first; the newest segment
  /// stays. Throws file_error.
  void drop_before(std::uint64_t record);

 private:
  struct pending_record {
    std::size_t start;      // in framing_: header and content but the update
    std::size_t head_size;  // of these
    std::size_t tail_size;  // of what comes behind the update
    byte_span update;
  };

  void begin_segment();
  void write_group();
  void require_usable() const;

  file_system& files_;
  std::string folder_;
  run_identity run_;
  journal_options options_;
  std::uint64_t segment_ = 0;  // the current one's number
  std::unique_ptr<writable_file> file_;
  std::uint64_t next_record_ = 0;
  std::uint64_t durable_before_ = 0;
  std::vector<pending_record> group_;
  std::vector<std::byte> framing_;  // all of the group but the updates
  bool usable_ = true;
};

}  // namespace rubato
