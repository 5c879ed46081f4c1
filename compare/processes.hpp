// Runs cells as child processes: `rubato train` on the cell's config. Not here: which cell is next
// (execution.hpp).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "compare/execution.hpp"
#include "compare/folder.hpp"

namespace rubato {

/// How the machine is shared out: so many runs at a time, of so many workers at a time each.
struct core_plan {
  std::size_t runs = 1;
  std::int64_t threads = 1;  // run.threads
};

/// Keeps the cores busy: one thread a run where there are at least as many runs as cores, more
/// where there are fewer. What is not 0 of `parallel` (runs at a time) and `threads` (of a run) is
/// kept to; `threads_per_lane` are taken by each of the latter.
core_plan share_cores(std::size_t cores, std::size_t runs, std::int64_t parallel,
                      std::int64_t threads, std::int64_t threads_per_lane);

/// Children are killed when this process dies, however that happens. They do not get the signals
/// of the terminal: interrupt() passes them on. Waits for all that are left when it is destroyed,
/// after killing them.
class child_processes final : public cell_runner {
 public:
  /// `program`: the path of rubato.
  child_processes(std::string program, const comparison_folder& folder, core_plan plan);
  ~child_processes() override;
  child_processes(const child_processes&) = delete;
  child_processes& operator=(const child_processes&) = delete;

  std::size_t capacity() const override { return plan_.runs; }
  void start(const cell& c) override;
  std::vector<ended_run> wait() override;
  void interrupt() override;

 private:
  std::string program_;
  const comparison_folder& folder_;
  core_plan plan_;
  std::map<pid_t, std::string> running_;  // the cell's name
};

}  // namespace rubato
