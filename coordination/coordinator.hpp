// The coordinator: every decision of a run, as a state machine. It takes events (a worker joined or
// was lost, an update arrived, the window ended) and returns actions for the server to carry out.
// It knows no actors, no tensors and no real clock: whoever calls says what time it is.
//
//   arrival -> admission -> window -> weight -> (merge, by the server) -> ledger -> assignment
//
// Asynchronous (Liu et al. 2024, Algs. 2, 4, 5): an update is applied when it arrives; the window
// only delays the next assignment of those who arrived, so that they restart together.
// Synchronous (DiLoCo, Alg. 1): updates wait for the end of the round, then count as one. Where
// groups average between such rounds (grouping.hpp), each has rounds of its own in the meantime.
//
// With network.overlap a worker has two rounds: it computes one while the update of the one before
// travels. It hands in delta = theta_base - theta_end and goes on from theta_end at once; when the
// reply theta_v is there, which has delta in it, theta becomes theta_v + (theta - theta_end), and v
// the base of the round that is being computed. The assignment after that one comes with the reply.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "config/stages.hpp"
#include "coordination/grouping.hpp"
#include "coordination/norm_guard.hpp"
#include "coordination/quota.hpp"
#include "coordination/schedule.hpp"
#include "coordination/shards.hpp"
#include "coordination/staleness.hpp"
#include "coordination/tempo.hpp"
#include "coordination/types.hpp"

namespace rubato {

/// Give a worker its next round.
struct assign_action {
  assignment work;
  std::optional<group_id> group = {};  // start from what this group has, not from the version
  // With network.overlap the version is the reply to the round before the last, and for the round
  // that the worker is computing:
  bool without_version = false;  // the first one: it goes on from what it has
  // The steps of that round that are done when the version gets there, where links are simulated;
  // none: it gets there after the last one.
  std::optional<std::uint32_t> steps_before = {};
};

/// Give the outer optimizer the weighted mean of these updates, added in this order (one update
/// alone is taken as it is, times its weight). `version` is the current one after that: the next,
/// or still the same where the optimizer accumulates updates and this was not the last of a step.
/// Gradients (round_kind) go to the inner optimizer's class instead. With `group`, the version
/// stays: the mean of what these workers ended with becomes what their group has. A step without it
/// ends all that groups have.
struct apply_action {
  std::vector<update_id> updates;  // ascending
  std::vector<double> weights;
  round_kind kind = round_kind::local;  // of all of them
  double inner_lr = 0.0;                // at the first step of the first one's round
  std::uint64_t version = 0;
  std::optional<group_id> group = {};
};

/// The fate of an update is decided: log it, tell its worker, drop its payload.
struct settle_action {
  update_record record;
};

/// Evaluate the current version: the first one at or past each multiple of
/// evaluate.every_local_steps, and the one that is there when so many steps more have brought none,
/// again and again.
struct evaluate_action {
  std::uint64_t version;
};

/// The run is over: the budget is used up, or stop() was called.
struct finish_action {
  bool interrupted;
};

using action =
    std::variant<assign_action, apply_action, settle_action, evaluate_action, finish_action>;
using action_list = std::vector<action>;

/// What a worker has done so far.
struct worker_totals {
  std::uint64_t rounds = 0;
  std::int64_t local_steps = 0;
  run_time compute_time{0};
};

class coordinator {
 public:
  /// The facts about model and data that decisions depend on.
  struct setting {
    std::vector<double> shard_weights;  // one a shard, see data.shard_weights
    std::uint64_t elements = 0;         // floats of an update
    // As they travel, for the link's time:
    std::uint64_t update_bytes = 0;
    std::uint64_t version_bytes = 0;
    std::uint64_t first_version_bytes = 0;  // to a worker of which nothing is known
    std::int64_t tokens_per_step = 0;
  };

  coordinator(const config& c, setting s);

  // -- events; `now` never goes backwards. Each returns what is to be done, in order. -----------

  /// Gives the worker a fresh incarnation and, when the open window closes, work. A worker that is
  /// there already is fenced: its round counts as lost.
  action_list worker_joined(run_time now, worker_id worker);

  /// The worker is gone: its round is abandoned, later messages from this incarnation are refused.
  action_list worker_lost(run_time now, worker_id worker);

  /// The worker wants to go: it gets no more rounds, and counts as lost as soon as it is at none.
  action_list worker_retires(run_time now, worker_id worker);

  /// What workers.events has planned for now: a worker's pace changes, or it leaves or joins.
  action_list worker_changed(run_time now, const worker_change& change);

  /// An update has come in. Its fate is `applied` at once (async), at the end of the round (sync),
  /// or one of the reasons to refuse it, checked in the order of `fate`, but for `outlier`, which
  /// comes before `too_stale`.
  /// `decided`: the fate that it had when the same happened before. Only then is the order in which
  /// updates came to one merge of no importance; it is not known any more.
  action_list update_arrived(run_time now, const arrival& update,
                             std::optional<fate> decided = std::nullopt);

  /// Time has come to window_end().
  action_list tick(run_time now);

  /// End the run early; rounds in flight get the fate run_ended.
  action_list stop(run_time now);

  // -- state ------------------------------------------------------------------------------------

  /// When tick() must be called, if nothing else happens before.
  std::optional<run_time> window_end() const { return window_end_; }
  bool finished() const { return finished_; }
  /// What will happen to workers, known from the start: the caller says when it is time.
  const std::vector<worker_change>& changes() const { return tempo_.changes(); }
  /// The worker has joined and is not lost.
  bool live(worker_id worker) const;
  /// Workers that are there, and how many of them wait for the window's end.
  std::size_t live_workers() const { return live_; }
  std::size_t waiting_workers() const { return idle_.size(); }
  /// No worker is left.
  bool stranded() const { return live_ == 0; }
  /// The round was given out and has not arrived.
  bool awaits(const update_id& id) const;
  /// Changes of the parameters so far.
  std::uint64_t version() const { return version_; }
  /// Local steps of arrived updates, applied or not: the budget and the x-axis.
  std::int64_t local_steps() const { return local_steps_; }
  std::int64_t tokens() const { return local_steps_ * setting_.tokens_per_step; }
  std::uint64_t count(fate f) const;
  /// Current incarnation of a worker; it must have joined.
  std::uint32_t incarnation(worker_id worker) const { return workers_.at(worker).incarnation; }
  /// Steps the worker would get now; 0 if it is not there.
  std::uint32_t quota(worker_id worker) const;
  /// Seconds a step of the worker at that time where this is simulated; 0: it pauses.
  double pace(worker_id worker, run_time at) const { return to_seconds(tempo_.pace(worker, at)); }
  /// Rounds that were given out and have not arrived, by worker.
  std::vector<assignment> outstanding() const;
  /// One for each worker of the config, with the part of an unfinished round done by `now`.
  std::vector<worker_totals> totals(run_time now) const;

  /// Everything that it remembers, between two events.
  nlohmann::json state() const;
  /// Goes on from there as the one that was asked would have. For a new coordinator of the same
  /// config and setting (sections evaluate and record aside). Throws nlohmann::json::exception or
  /// std::invalid_argument if this is no such state; then the coordinator is of no use any more.
  void restore(const nlohmann::json& state);

 private:
  struct given_round {
    assignment work;
    std::uint64_t merged_before;  // updates merged before it was given out
  };

  struct worker_state {
    std::uint32_t incarnation = 0;
    bool live = false;
    bool retiring = false;
    std::uint64_t next_sequence = 0;
    std::vector<given_round> outstanding;  // not arrived, in order; at most rounds_in_flight()
    round_kind last_kind = round_kind::local;
    worker_totals totals;
  };

  struct held_update {  // arrived and admitted
    assignment work;
    arrival update;
    std::uint64_t merged_before;
  };

  bool sync() const { return config_.outer.mode == "sync"; }
  std::size_t rounds_in_flight() const { return config_.network.overlap ? 2 : 1; }
  static std::vector<given_round>::const_iterator find_round(const worker_state& worker,
                                                             std::uint64_t sequence);
  static const given_round* base_of(const worker_state& worker, const arrival& update);
  std::optional<fate> refusal(const arrival& update) const;
  bool has_usual_norm(const held_update& held);
  void settle(run_time now, const assignment& work, const arrival& update, fate what,
              action_list& out);
  void apply(const std::vector<held_update>& updates, run_time now, action_list& out,
             std::optional<group_id> group = {});
  std::uint64_t staleness(const held_update& held) const;
  given_round take_outstanding(worker_state& worker, std::uint64_t sequence);
  void dismiss(run_time now, worker_id worker, action_list& out);
  void abandon(run_time now, worker_state& worker, fate what, action_list& out);
  void update_window(run_time now);
  std::vector<group_id> due_groups() const;
  void average(group_id group, run_time now, action_list& out);
  void assign(run_time now, worker_id worker, action_list& out);
  assignment make_assignment(run_time now, worker_id worker);
  bool goes_without_version(const update_id& round) const;
  std::uint64_t bytes_down(const update_id& round) const;
  std::int64_t common_steps(worker_id worker) const;
  void evaluate(action_list& out);
  void evaluate_if_stalled(action_list& out);
  void update_stage();
  void enter_stage();
  bool check_budget(run_time now, action_list& out);
  void finish(run_time now, bool interrupted, action_list& out);

  config config_;
  setting setting_;
  shard_pool shards_;
  quota_policy quota_;
  staleness_policy staleness_;
  tempo tempo_;
  grouping groups_;
  std::map<round_kind, norm_guard> norm_guards_;
  std::map<worker_id, worker_state> workers_;
  std::set<worker_id> idle_;  // live, without work, wait for the window's end
  std::vector<stage> stages_;
  std::size_t stage_ = 0;                   // the current one
  bool switched_ = false;                   // a data-parallel stage has ended
  std::size_t live_ = 0;                    // workers
  std::multiset<run_time> dues_;            // of their rounds that are given out
  std::map<worker_id, held_update> round_;  // sync: this round's arrivals, by worker id
  std::optional<run_time> window_end_;
  std::uint64_t version_ = 0;
  std::uint64_t merged_ = 0;      // updates
  std::int64_t accumulated_ = 0;  // merges since the version changed
  std::uint64_t assignments_ = 0;
  std::int64_t local_steps_ = 0;
  std::int64_t synchronised_at_ = 0;  // local steps at the last global step, where there are groups
  std::int64_t next_evaluation_ = 0;
  std::int64_t stalled_at_ = 0;  // local steps when a new version was due, or missed again
  std::map<fate, std::uint64_t> fates_;
  bool finished_ = false;
};

}  // namespace rubato
