// Prints a run as it goes: the plan, then a table with one row for each evaluation, and between its
// rows what happens to workers and how far the run is. On a terminal the latter is one live line,
// rewritten in place; elsewhere it is a plain line every ten seconds. The closing summary is
// summary.hpp's.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

#include "monitoring/observer.hpp"

namespace rubato {

class console final : public run_observer {
 public:
  /// `live`: out is a terminal that understands ANSI escapes. `out` must outlive the console.
  console(std::FILE* out, bool live);
  /// Removes the live line.
  ~console() override;
  console(const console&) = delete;
  console& operator=(const console&) = delete;

  void started(const run_plan& plan) override;
  void progressed(const progress& p) override;
  void evaluated(const evaluation& e) override;
  /// A line for each change, but where many workers change at the same time a line for the rest.
  void worker_changed(const worker_change_record& change) override;
  void remarked(const std::string& sentence) override;
  /// Removes the live line, so that other text can be printed.
  void clear();

 private:
  void print(const std::string& text);

  std::FILE* out_;
  bool live_;
  bool line_shown_ = false;
  bool table_begun_ = false;
  run_plan plan_;
  double changes_at_ = -1.0;        // the time on the run's clock of the latest change of a worker
  std::size_t changes_shown_ = 0;   // of that time
  std::size_t changes_hidden_ = 0;  // of that time, not told of yet
  double next_draw_;  // in wall seconds of the run: the records bring the time, no clock is read
};

/// What started() prints: what is trained, on what, by whom, and what to beat. At most 80 columns
/// but for long names.
std::string plan_text(const run_plan& plan);

/// "worker 2 now takes 1.500 s a step; next round 4 steps".
std::string change_text(const worker_change_record& change);

/// Steps, loss, staleness, tokens/s (or points/s), time on the run's clock, ETA; the least
/// important fields are left out where `columns` do not suffice. Never longer than `columns`.
std::string progress_line(const run_plan& plan, const progress& p, int columns);

}  // namespace rubato
