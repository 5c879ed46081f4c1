// The virtual clock: which event of a simulated run comes next, whatever order results are
// computed in. Time only moves when an event is taken.
#pragma once

#include <optional>
#include <set>

#include "coordination/types.hpp"

namespace rubato {

class virtual_clock {
 public:
  /// The time of the event taken last; 0 at the start.
  run_time now() const { return now_; }

  /// The round `id` will arrive at `time`, not before now(). O(log n).
  void expect(run_time time, const update_id& id);

  /// The round will not arrive.
  void cancel(run_time time, const update_id& id);

  /// The window ends at `time`; replaces the end set before.
  void set_window_end(std::optional<run_time> time) { window_end_ = time; }

  struct event {
    run_time time;
    std::optional<update_id> arrival;  // empty: the window ends
  };

  /// The next event in the order (time, arrivals before the window's end, worker, sequence);
  /// empty when nothing is to come.
  std::optional<event> next() const;

  /// Takes the event that next() shows: moves the clock to it.
  void take();

 private:
  struct expected {
    run_time time;
    update_id id;
    auto operator<=>(const expected&) const = default;
  };

  run_time now_{0};
  std::set<expected> arrivals_;
  std::optional<run_time> window_end_;
};

}  // namespace rubato
