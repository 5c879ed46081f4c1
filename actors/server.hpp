// The server actor: owns the coordinator, the outer optimizer and the current version. It hands
// events to the coordinator in the order of the run's clock and carries out what that decides. The
// two clocks differ in one thing: on the virtual clock an update arrives when its round is due and
// the server waits for it; on the wall clock it arrives when it is there.
#pragma once

#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"
#include "coordination/coordinator.hpp"
#include "coordination/divergence_watch.hpp"
#include "coordination/event_queue.hpp"
#include "coordination/outbox.hpp"
#include "monitoring/observer.hpp"
#include "monitoring/probes.hpp"
#include "monitoring/staleness_histogram.hpp"
#include "optim/data_parallel.hpp"
#include "optim/merger.hpp"
#include "optim/update_cosines.hpp"
#include "recovery/journal_tail.hpp"
#include "recovery/records.hpp"
#include "recovery/resume.hpp"
#include "storage/run_directory.hpp"
#include "transfer/versions_down.hpp"

namespace rubato {

/// Where the server leaves the summary when the run has ended well.
struct run_result {
  std::optional<run_summary> summary;
};

struct server_setup {
  run_context_ptr run;
  std::shared_ptr<run_observer> observer;  // may be null
  std::shared_ptr<run_probe> probe;        // may be null; for the recorder
  std::shared_ptr<const run_directory> directory;
  run_identity identity;
  std::shared_ptr<restored_run> restored;  // where the run goes on; null: it begins
  std::shared_ptr<run_result> result;
  run_plan plan;      // for the observer; the server adds the quotas
  bool open = false;  // nodes come and go; otherwise one joins, once, with all workers
};

class server_state {
 public:
  static inline const char* name = "server";

  using pointer = actor_pointer<server_actor, server_state>;

  void start(pointer self, server_setup setup);

  // -- messages
  void joined(const join_run& join);
  void left(const leave_run& leave);
  void remarked(const remark& said);
  void submitted(const submit_update& submit);
  void evaluated(const version_evaluated& evaluated);
  void flush_records();
  void recorded(std::uint64_t before);
  void captured(const worker_captured& worker);
  void capture_ended(const capture_written& written);
  void checkpoint_ended();
  void recording_ended();
  void ticked(run_time time);
  void stop();

 private:
  struct cosines {
    double to_momentum = std::numeric_limits<double>::quiet_NaN();
    double to_others = std::numeric_limits<double>::quiet_NaN();
  };

  // -- server_snapshot.cpp
  void take_checkpoint();
  snapshot capture();
  void restore();
  std::shared_ptr<const worker_snapshot> saved(worker_id worker);
  void await_workers();
  void dismiss_away();
  std::shared_ptr<const worker_snapshot> left_with(const worker_life& life);
  void check_workers_begin() const;

  // -- server_journal.cpp
  bool journals() const { return setup_.run->settings.journal.enabled; }
  void record(run_event event);
  void flush_records_soon();
  template <typename Message>
  void tell_recorder(Message message);
  std::shared_ptr<const server_reading> take_reading();
  void when_durable(std::function<void()> leave);
  void deliver();
  void give(assign_round round);
  void give_again(worker_id worker);
  void continue_the_journal();
  void leave_tail(const journal_end& end);
  void do_again();
  bool bring_back(run_time at);
  bool was_done_before(const update_id& id) const;
  void take_until(run_time at);
  bool unplanned(const journal_tail::entry& next) const;
  void do_unplanned(const journal_tail::entry& next);

  /// The virtual clock with workers elsewhere: the run begins when all are there, and ends if one
  /// of them is lost.
  bool needs_all() const { return setup_.open && !setup_.run->on_wall_clock(); }
  void stop_without(const leave_run& leave);

  void take_in(const join_run& join);
  void let_leave(const leave_run& leave);

  run_time now() const;
  void after_what_is_due(std::function<void()> step);
  void advance();
  bool next_step();
  bool checkpoint_is_due() const;
  bool may_take(const event_queue::event& event);
  void take(const event_queue::event& event);
  void change(run_time time, const worker_change& change);
  void record_change(run_time time, worker_id worker, const char* what);
  action_list let_join(run_time time, worker_id worker);
  void let_go(run_time time, worker_id worker, bool after_rounds);
  void record_if_gone(run_time time, worker_id worker);
  void carry_out(const action_list& actions);
  void carry_out(const assign_action& action);
  void carry_out(const apply_action& action);
  void carry_out(const settle_action& action);
  void carry_out(const evaluate_action& action);
  void carry_out(const finish_action& action);
  void report_progress(const update_record& record);
  void merge(const apply_action& action, const std::vector<merge_input>& inputs);
  void compare_updates(const apply_action& action, const std::vector<merge_input>& inputs);
  void average_inner_states(const apply_action& action);
  merge_input input_of(const std::shared_ptr<const submission>& content, bool whole) const;
  std::shared_ptr<const submission> looked_through(
      const std::shared_ptr<const submission>& content) const;
  std::shared_ptr<const inner_state> inner_for(const assignment& work) const;
  void evaluate();
  void end_when_evaluated();
  run_summary summarise() const;
  double wall_seconds() const;

  pointer self_ = nullptr;
  server_setup setup_;
  watch_list watched_;
  recorder_actor recorder_;
  evaluator_actor evaluator_;
  std::map<worker_id, participant_actor> nodes_;  // where each worker is
  bool peopled_ = false;                          // somebody has joined

  std::unique_ptr<coordinator> coordinator_;
  std::unique_ptr<merger> merger_;
  std::unique_ptr<data_parallel> data_parallel_;
  std::unique_ptr<versions_down> down_;
  event_queue events_;
  std::deque<std::function<void()>> unplanned_;  // of after_what_is_due()
  std::set<run_time> alarms_;  // wall clock: a clock_ticked is on its way for each of these times
  version_ptr current_;
  std::map<update_id, std::shared_ptr<const submission>> arrived_;  // not settled yet
  std::map<update_id, version_ptr> bases_;          // of rounds, if merging needs them
  std::unique_ptr<merger> group_mean_;              // where groups average among themselves
  std::map<group_id, version_ptr> group_versions_;  // what groups have since the last global step
  std::unique_ptr<update_cosines> similarity_;      // with record.pairwise_cosines
  std::map<update_id, cosines> cosines_;            // of merged, unsettled updates
  std::shared_ptr<const inner_state>
      mean_inner_;  // of the last round, with inner.state = "average"

  std::unique_ptr<divergence_watch> divergence_;
  std::optional<std::uint64_t> evaluating_;   // the newest version that was sent to be evaluated
  std::deque<evaluate_version> evaluations_;  // that are not back yet

  std::uint64_t next_record_ = 0;            // of the journal or, without one, sent to the recorder
  std::vector<run_event> events_to_record_;  // that the recorder was not told of ...
  bool flushing_ = false;                    // ... but soon will
  outbox<std::function<void()>> outbox_;     // what waits for records to be durable
  std::uint64_t merges_ = 0;                 // those of groups too
  std::vector<double> merge_seconds_;        // of those since the last reading, if there is a probe
  double momentum_norm_ = std::numeric_limits<double>::quiet_NaN();  // at the last merge
  std::map<update_id, merge_place> merged_;  // of updates whose settlement follows
  std::map<update_id, group_id> starts_;     // of rounds that begin with what a group has
  std::unique_ptr<journal_tail> tail_;       // what happens again; null: nothing any more
  bool doing_again_ = false;                 // on the wall clock, before any worker is there
  std::map<update_id, fate> decided_;        // of updates that arrive again
  std::map<update_id, assign_round> again_;  // rounds that were given out in that time
  std::set<worker_id> away_;                 // workers that may come back as they were, ...
  run_time away_until_{0};                   // ... until then
  std::set<worker_id> behind_;               // workers that have done others in that time

  std::optional<std::uint64_t> checkpoint_;  // version of the newest, be it on the disk or not
  bool checkpointing_ = false;               // it is not
  bool checkpoint_is_last_ = false;          // it was taken to stop
  bool begun_ = false;                       // the first one is on the disk: work may be given out
  bool stopping_ = false;                    // ends as soon as a last one is
  bool resumable_ = false;                   // it has ended so: what is in flight goes on later
  std::optional<finish_action> finished_;
  bool ending_ = false;

  run_time ended_{0};  // on the run's clock
  staleness_histogram staleness_;
  double recent_loss_ = 0.0;
  double recent_staleness_ = 0.0;
  std::uint64_t bytes_down_ = 0;
  std::uint64_t bytes_up_ = 0;
  std::uint64_t bytes_within_groups_ = 0;  // of both
  std::uint64_t late_rounds_ = 0;
  run_time late_sum_{0};
  run_time late_max_{0};
  run_time lane_time_{0};  // of rounds, in real time and since this process began ...
  run_time data_wait_{0};  // ... and how much of it passed without a batch
  std::uint64_t evaluations_skipped_ = 0;
  std::uint64_t inner_states_behind_ = 0;
  std::optional<evaluation> last_;
  std::optional<evaluation> best_;
};

/// In the order of what happens: after what was recorded before.
template <typename Message>
void server_state::tell_recorder(Message message) {
  flush_records();
  send(self_, recorder_, std::move(message));
}

server_actor::behavior_type server(server_state::pointer self, server_setup setup);

}  // namespace rubato
