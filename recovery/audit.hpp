// The books of a run: every token that was given out, and what became of it. They are kept record
// by record from the journal, whose order and completeness they check as they go. Not here: whether
// the parameters are right (replay.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "coordination/types.hpp"
#include "storage/file_system.hpp"
#include "storage/journal_reader.hpp"
#include "storage/journal_records.hpp"

namespace rubato {

/// One thread at a time.
class ledger {
 public:
  struct amount {
    std::uint64_t rounds = 0;
    std::int64_t tokens = 0;

    bool operator==(const amount&) const = default;
  };

  /// From the beginning of a run.
  ledger() = default;
  /// Goes on from what state() gave. Throws run_error if it cannot have.
  explicit ledger(const nlohmann::json& state);
  nlohmann::json state() const;

  /// Enters the journal's next record. What cannot be, such as an update that is applied twice, a
  /// gap in a worker's sequence or a record behind the end, is a fault, and the books go on.
  /// Throws run_error for a fate that is not known here.
  void add(std::uint64_t number, const journal_record& record);

  // tokens assigned = those settled, by fate + in flight
  amount assigned() const { return assigned_; }
  const std::map<fate, amount>& settled() const { return settled_; }
  amount in_flight() const;
  /// Tokens assigned that no fate and no round in flight accounts for. Not 0 only with faults.
  std::int64_t missing() const;

  /// Updates that were refused as not the answer to a round in flight; no tokens go with them.
  const std::map<fate, std::uint64_t>& refused() const { return refused_; }

  std::uint64_t version() const { return version_; }
  /// The end has been entered.
  bool ended() const { return ended_; }

  /// One line each, "record 17: ...". Of very many only the first are kept.
  const std::vector<std::string>& faults() const { return faults_; }
  std::uint64_t fault_count() const { return fault_count_; }

 private:
  struct worker_life {
    std::uint32_t incarnation = 0;  // the newest
    bool live = false;
    std::uint64_t next_sequence = 0;
  };
  struct open_round {
    std::uint64_t base_version = 0;
    std::int64_t tokens = 0;
  };

  void enter(const join_record& join);
  void enter(const fence_record& fence);
  void enter(const assign_record& work);
  void enter(const settle_record& settled);
  void enter(const note_record&) {}
  void enter(const end_record& end);
  void settle_round(const update_id& id, const settle_record& settled, fate what);
  void refuse(const update_id& id, fate what);
  void follow_merges(const update_id& id, const settle_record& settled, fate what);
  bool was_assigned(const update_id& id) const;
  void fault(std::string text);

  std::map<worker_id, worker_life> workers_;
  std::map<update_id, open_round> open_;
  amount assigned_;
  std::map<fate, amount> settled_;
  std::map<fate, std::uint64_t> refused_;
  std::uint64_t version_ = 0;
  std::uint64_t merge_ = 0;  // the newest
  bool merge_open_ = false;  // the next record may belong to it
  bool ended_ = false;
  std::uint64_t number_ = 0;  // of the record that is being entered
  std::vector<std::string> faults_;
  std::uint64_t fault_count_ = 0;
};

struct audit_result {
  ledger books;
  std::uint64_t records = 0;  // of the journal that were read
  /// The checkpoint that says what came before the journal's first record; none: it is whole.
  std::optional<std::uint64_t> checkpoint;
  std::optional<torn_tail> torn;
  /// What summary.json, if there is one, counts otherwise, a line each.
  std::vector<std::string> against_summary;

  bool balances() const {
    return books.missing() == 0 && books.fault_count() == 0 && against_summary.empty();
  }
};

/// Reads the journal of a run directory, from its first record. Where its beginning is not kept any
/// more, the books go on from the oldest checkpoint that it follows on. Throws file_error,
/// run_error; usage_error if there is no journal.
audit_result audit_run(file_system& files, const std::string& directory);

}  // namespace rubato
