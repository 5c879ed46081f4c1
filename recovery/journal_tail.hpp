// What a journal says of the time since the checkpoint that a run goes on from. The run does it
// again and is compared with it: on the virtual clock everything, on the wall clock with the
// updates that are in the journal. Not here: who does it again (actors/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "coordination/types.hpp"
#include "optim/parameter_buffer.hpp"
#include "storage/file_header.hpp"
#include "storage/file_system.hpp"
#include "storage/journal_reader.hpp"
#include "storage/journal_records.hpp"

namespace rubato {

/// When it happened, on the run's clock; 0 for a note.
run_time time_of(const journal_record& record);

struct journal_extent {
  journal_end end;
  run_time last{0};  // the time of the last record since the checkpoint
};

/// Reads a journal from the record on that this checkpoint needs first, cuts off a torn tail, and
/// makes the rest durable. Throws file_error, also if it is the journal of another run, or there is
/// none.
journal_extent mend_journal(file_system& files, const std::string& directory,
                            const file_header& checkpoint);

/// One thread at a time. Throws file_error for what cannot be read.
class journal_tail {
 public:
  struct entry {
    std::uint64_t number = 0;
    journal_record content;  // its update is the one below
    version_ptr update;      // of a settle record that has one, as it travelled
    journal_end before;      // where the journal would end without this record
  };

  /// Of a mended journal, from this record on.
  journal_tail(file_system& files, const std::string& directory, const parameter_layout& layout,
               std::uint64_t from, const journal_end& end);

  /// A record that was not compared yet, the `ahead`-th; null behind the end. Notes are left out.
  /// Valid until check().
  const entry* next(std::size_t ahead = 0);

  /// The run has come to the next record again: returns its number. Throws run_error, naming the
  /// record and the first thing in which they differ. A comparison of updates that only one of the
  /// two made (record.pairwise_cosines) is no difference.
  std::uint64_t check(const journal_record& again);

  const journal_end& end() const { return end_; }

 private:
  version_ptr keep(settle_record& record);

  journal_reader reader_;
  parameter_layout layout_;
  buffer_pool pool_;
  buffer_ptr room_;  // of which the next update may be
  journal_end end_;
  std::deque<entry> read_;
  std::uint64_t read_before_;  // the number of the next one from the reader
};

}  // namespace rubato
