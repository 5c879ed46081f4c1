// Works through a grid: which cell next, what to do when one has ended, and what is left. How a
// cell is run is somebody else's business (cell_runner), so tests need no processes.
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "compare/folder.hpp"
#include "compare/grid.hpp"
#include "compare/result.hpp"

namespace rubato {

/// A run that has come to its end, one way or another.
struct ended_run {
  std::string name;  // of the cell
  std::string how;   // "exit code 2", "signal 9"
};

/// Runs cells, several at a time. One thread.
class cell_runner {
 public:
  virtual ~cell_runner() = default;
  /// How many runs keep the machine busy.
  virtual std::size_t capacity() const = 0;
  /// Starts a run in the cell's prepared folder. Throws run_error if it cannot be started.
  virtual void start(const cell& c) = 0;
  /// Those that have ended since the last call; waits for one, but only for a short time.
  virtual std::vector<ended_run> wait() = 0;
  /// Asks all runs to end soon.
  virtual void interrupt() = 0;
};

/// A cell with what became of it: a result, or the reason why there is none.
struct settled_cell {
  cell what;
  std::optional<cell_result> result;
  std::string failure;
};

/// All cells of one run in one setting.
struct cell_group {
  std::size_t run = 0;
  std::size_t setting = 0;
  std::size_t chosen = 0;  // the combination with the lowest mean final loss of its tuning cells
  std::vector<settled_cell> tuning;
  std::vector<settled_cell> reported;
};

struct grid_progress {
  std::size_t done = 0;  // cells; those that were there from before included
  std::size_t total = 0;
  std::size_t running = 0;
  double seconds_left = -1.0;  // estimated; negative: not known yet
};

/// Is told how it goes; must not throw.
class grid_observer {
 public:
  virtual ~grid_observer() = default;
  /// Said once: how many cells there are, and how many of these were finished before.
  virtual void started(const grid_progress&) {}
  /// A cell has come to its end now.
  virtual void settled(const settled_cell&, const grid_progress&) {}
  /// Every now and then.
  virtual void waiting(const grid_progress&) {}
};

/// By setting, and within a setting by run. If `interrupted`, what is missing has neither a result
/// nor a failure.
struct grid_outcome {
  std::vector<cell_group> groups;
  bool interrupted = false;
};

/// Runs what is not finished yet: first the cells that hyper-parameters wait for, and the longest
/// first, so that none is left running alone at the end. A run that fails does not end the
/// comparison. Once `stop` is set, nothing is started any more and runs are asked to end.
/// Throws run_error when the folder cannot be written.
grid_outcome execute(const grid& g, const comparison_folder& folder, cell_runner& runner,
                     grid_observer& observer, const std::atomic<bool>& stop);

/// The index of the combination with the lowest mean final loss over the tuning seeds; the first of
/// equals. One that diverged or failed with any seed counts as infinitely bad.
std::size_t choose_combination(const std::vector<settled_cell>& tuning, std::size_t combinations);

/// Seconds until runs that take so long each are all done, so many at a time.
double estimate_seconds(const std::vector<double>& seconds_left, std::size_t at_a_time);

}  // namespace rubato
