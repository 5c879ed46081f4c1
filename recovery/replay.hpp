// Replay: from the records of a journal to the parameters, by the same code that made them, without
// actors, network or data. With other settings of the outer optimizer it says what would have
// become of the same pseudo-gradients. Not here: whether every round has its fate (audit.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "coordination/grouping.hpp"
#include "coordination/types.hpp"
#include "optim/data_parallel.hpp"
#include "optim/inner_optimizer.hpp"
#include "optim/merger.hpp"
#include "optim/parameter_buffer.hpp"
#include "storage/file_system.hpp"
#include "storage/journal_reader.hpp"
#include "storage/journal_records.hpp"
#include "transfer/versions_down.hpp"

namespace rubato {

/// What a replay goes on from: all that merging needs, between two records.
struct replay_start {
  std::uint64_t version = 0;
  version_ptr parameters;
  std::optional<merger_state> outer;                 // none: as at the start of a run
  std::shared_ptr<const inner_state> data_parallel;  // null: likewise
  std::map<group_id, version_ptr> groups;            // that have parameters of their own
  std::map<update_id, version_ptr> bases;            // of rounds in flight, if merging needs them
  std::map<worker_id, version_ptr> known = {};       // what workers have (versions_down)
};

/// Re-applies records. One thread at a time.
class replayer {
 public:
  /// `strict`: the versions of the records must come out; otherwise other settings than those of
  /// the run may make steps of their own.
  /// Throws usage_error for what merger and data_parallel do not allow, run_error if `start` is of
  /// another model or method.
  replayer(const parameter_layout& layout, const config& c, replay_start start, bool strict = true);

  /// The journal's next record. The updates of one merge are collected until another record shows
  /// that they are all there. Throws run_error naming the record if it cannot be followed: an
  /// update that is missing or of another size, a base that is not known, a version that does not
  /// come out.
  void add(const journal_entry& entry);

  /// For journal_reader::next: an update that is read to here is merged without a copy.
  std::span<std::byte> room(std::size_t bytes);

  /// Merges what has been collected: no more of it comes.
  void complete();

  /// After complete().
  const version_ptr& parameters() const { return current_; }
  /// As the records count them.
  std::uint64_t version() const { return version_; }
  std::uint64_t updates() const { return updates_; }  // that were merged so far

 private:
  struct collected_merge {
    std::uint64_t number;
    std::optional<group_id> group;
    round_kind kind;
    double inner_lr;
    std::uint64_t version;  // after it
    std::uint64_t record;   // its last
    std::vector<merge_input> inputs;
  };

  void enter(const assign_record& work);
  void enter(const settle_record& settled);
  template <class Other>
  void enter(const Other&) {}
  void apply(const collected_merge& merge);
  [[noreturn]] void fail(std::string_view reason) const;

  parameter_layout layout_;
  config config_;
  bool strict_;
  merger merger_;
  std::unique_ptr<merger> group_mean_;
  std::unique_ptr<data_parallel> data_parallel_;
  buffer_pool pool_;    // of updates
  buffer_ptr room_;     // of which the next update may be
  versions_down down_;  // where rounds started from
  version_ptr current_;
  std::uint64_t version_;
  std::map<group_id, version_ptr> groups_;
  std::map<update_id, version_ptr> bases_;
  std::optional<collected_merge> collected_;
  std::uint64_t record_ = 0;  // the one that is being looked at
  std::uint64_t updates_ = 0;
};

/// What a replay found at a checkpoint, or at the end of the run.
struct replay_point {
  std::optional<std::uint64_t> checkpoint;  // its number; none: the end
  std::uint64_t version = 0;
  std::string recorded;  // SHA-256 of the run's parameters there
  std::string replayed;
  std::string damage;  // why the checkpoint cannot be read; then there is nothing to compare
  // With what_if, of the trainable parameters; else NaN.
  double distance = std::numeric_limits<double>::quiet_NaN();  // L2, between run and replay
  double moved =
      std::numeric_limits<double>::quiet_NaN();  // L2, from the replay's beginning to the run

  bool same() const { return damage.empty() && recorded == replayed; }
};

struct replay_result {
  std::uint64_t began_at = 0;        // the number of the checkpoint
  std::vector<std::string> skipped;  // why older ones were not taken, a line each
  std::uint64_t version = 0;         // that was reached
  std::uint64_t updates = 0;         // merged by the replay
  bool finished = false;             // the journal has the run's end
  bool fresh_optimizer = false;      // what-if: the checkpoint's state is of another method
  std::optional<torn_tail> torn;
  parameter_layout layout;
  version_ptr parameters;
};

/// Replays the journal of a run directory from the oldest checkpoint that it follows on, and gives
/// `report` every later checkpoint and the end, in order, each once. `c` is the run's own
/// configuration, or with `what_if` one with other settings of the outer optimizer.
/// Throws usage_error if there is no journal or checkpoint; file_error, run_error.
replay_result replay_run(file_system& files, const std::string& directory, const config& c,
                         bool what_if, const std::function<void(const replay_point&)>& report);

/// A replay may be given other values of these keys: they say what is made of pseudo-gradients, not
/// which there are.
bool may_be_replayed_with(std::string_view key);

}  // namespace rubato
