// When silence means that the other end of a link is gone. Nobody can know; but who has sent a sign
// of life every second, give or take a tenth, has stopped when five seconds have passed, and who
// sends them as they get through a busy link has not. So the patience follows what was observed:
// the median of the times between signs, plus a multiple of their median absolute deviation (MAD),
// and never less than a floor.
//
// The same holds for progress: who computes takes a step now and then.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace rubato {

/// The time of whoever asks; never goes backwards.
using link_time = std::chrono::nanoseconds;

/// How far apart events are.
class rhythm {
 public:
  /// An event, so long after the one before.
  void observe(std::chrono::nanoseconds gap);
  /// Enough has been observed to judge by.
  bool known() const { return gaps_.size() >= 8; }
  /// median + `tolerance` * MAD of the newest gaps; 0 before the first.
  std::chrono::nanoseconds expected(double tolerance) const;

 private:
  std::deque<std::chrono::nanoseconds> gaps_;  // the newest 64
};

/// What a node says about its work, in each sign of life.
struct work_report {
  std::uint64_t steps = 0;    // taken since it was started
  std::uint64_t running = 0;  // rounds that are being computed now
};

class liveness {
 public:
  struct setting {
    std::chrono::nanoseconds interval = std::chrono::seconds(1);    // of the signs of life
    std::chrono::nanoseconds floor = std::chrono::seconds(5);       // of the patience
    std::chrono::nanoseconds work_floor = std::chrono::minutes(2);  // of that with its work
    double tolerance = 10.0;                                        // MADs
  };

  liveness(setting s, link_time now) : setting_(s), last_(now), ticked_(now) {}

  // -- events -----------------------------------------------------------------------------------

  /// A sign of life.
  void heard(link_time now, const work_report& work);
  /// Any other message: it is there, too, but was not due at any time.
  void heard(link_time now) { last_ = now; }
  /// Must be called every `interval` or so. If that was forgotten for long, it was us who was away
  /// (suspended, or starved of CPU), and that is not held against the other end.
  void tick(link_time now);

  // -- state ------------------------------------------------------------------------------------

  /// How long a silence is borne.
  std::chrono::nanoseconds patience() const;
  /// When it is over. The other end is gone if nothing is heard until then.
  link_time deadline() const { return last_ + patience(); }
  /// How long a running round may go without a step; nothing while that is not known, or none is
  /// running.
  std::optional<std::chrono::nanoseconds> work_patience() const;
  /// Why the other end counts as gone, or stuck; nothing if it does not. For people.
  std::optional<std::string> verdict(link_time now) const;

 private:
  setting setting_;
  rhythm signs_;
  rhythm work_;
  link_time last_;                      // anything was heard
  std::optional<link_time> last_sign_;  // of life
  std::optional<link_time> last_step_;  // was reported, or the first round begun
  work_report report_;
  link_time ticked_;
};

}  // namespace rubato
