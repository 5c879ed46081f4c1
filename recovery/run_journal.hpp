// The journal of a run that is going on: what happens is entered into its books and appended, in
// groups; what a run that goes on does again is there already. Not here: the bytes (storage/), and
// when a group is committed (actors/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "optim/parameter_buffer.hpp"
#include "recovery/audit.hpp"
#include "recovery/records.hpp"
#include "storage/file_system.hpp"
#include "storage/journal_writer.hpp"

namespace rubato {

/// One thread at a time. All throw file_error when the disk does not take it; what was committed
/// before stays valid.
class run_journal {
 public:
  /// `directory` is the run's.
  run_journal(file_system& files, std::string directory, parameter_layout layout,
              journal_options options = {});

  /// A run begins, or a branch, with the record that its checkpoint needs first. Throws file_error
  /// if there is a journal.
  void begin(const run_identity& run, std::uint64_t first_record = 0);
  /// A run goes on from a checkpoint with these books. Before begin() or go_on().
  void restore(const nlohmann::json& books);
  /// From here on it is appended to, behind this end; a torn tail is cut off.
  void go_on(const journal_end& end);

  /// Enters these events, and appends those whose number says that the journal lacks them; until it
  /// goes on, none may. Those without a number are nothing to it. The events are held until they
  /// are committed.
  void add(std::shared_ptr<const std::vector<run_event>> events);

  /// Bytes of updates that wait for commit().
  std::size_t pending_bytes() const { return pending_bytes_; }
  /// Makes durable what was appended.
  void commit();
  /// All records before this one are durable; 0 until it goes on.
  std::uint64_t durable_before() const;

  /// The audit's view of all that was entered.
  nlohmann::json books() const;

  /// Forgets what the checkpoints that are there do not need to go on from (journal.keep = "tail").
  void keep_tail();

 private:
  void append(const run_event& event);

  file_system& files_;
  std::string directory_;
  parameter_layout layout_;
  journal_options options_;
  ledger books_;
  std::unique_ptr<journal_writer> writer_;
  std::vector<std::shared_ptr<const std::vector<run_event>>> pending_;
  std::size_t pending_bytes_ = 0;
};

/// Removes a journal whose run was killed before there was anything to go on from. Throws run_error
/// if rounds had been given out: their checkpoints are gone, which no run does by itself.
void forget_beginning(file_system& files, const std::string& directory);

}  // namespace rubato
