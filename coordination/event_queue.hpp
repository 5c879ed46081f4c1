// What happens next in a run: arrivals, changes to workers, the end of the window, in the one order
// that counts. On the virtual clock an arrival is expected when its round is assigned, and whoever
// asks waits until it has been computed; on the wall clock, once it is there. Time only moves when
// an event is taken.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "coordination/types.hpp"

namespace rubato {

class event_queue {
 public:
  struct window_ended {};

  struct event {
    run_time time;
    std::variant<update_id, worker_change, window_ended> what;  // update_id: that round arrives
  };

  /// The time of the event taken last; 0 at the start.
  run_time now() const { return now_; }

  /// These will happen. Call it once, before the first event is taken.
  void plan(std::vector<worker_change> changes);

  /// The round `id` arrives at `time`. Throws std::logic_error if that is before now(). O(log n).
  void expect(run_time time, const update_id& id);

  /// The round will not arrive; it may be unknown.
  void cancel(const update_id& id);

  /// The window ends at `time`; replaces the end set before.
  void set_window_end(std::optional<run_time> time) { window_end_ = time; }

  /// The next event in the order of time; at the same time arrivals by worker and sequence come
  /// first, then changes, then the end of the window. Empty when nothing is to come.
  std::optional<event> next() const;

  /// Takes the event that next() shows: now() becomes its time.
  void take();

  /// The time, and how many of the planned changes were taken. Arrivals and the window's end are
  /// not in it: who restores knows which rounds are out, and expects them again.
  nlohmann::json state() const;
  /// After plan() with the same changes; see coordinator::restore.
  void restore(const nlohmann::json& state);

 private:
  run_time now_{0};
  std::set<std::pair<run_time, update_id>> arrivals_;
  std::map<update_id, run_time> arrival_times_;
  std::vector<worker_change> changes_;  // in order of time
  std::size_t changes_taken_ = 0;
  std::optional<run_time> window_end_;
};

}  // namespace rubato
