#include "compare/execution.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include "config/error.hpp"

namespace rubato {
namespace {

using steady = std::chrono::steady_clock;

/// How long cells take: from those of the same size, or in proportion to those of others.
class durations {
 public:
  void add(double work, double seconds) {
    auto& [sum, count] = by_work_[work];
    sum += seconds;
    count += 1.0;
    work_ += work;
    seconds_ += seconds;
  }
  bool known() const { return work_ > 0.0; }
  double of(double work) const {
    const auto found = by_work_.find(work);
    if (found == by_work_.end()) return work * seconds_ / work_;
    return found->second.first / found->second.second;
  }

 private:
  std::map<double, std::pair<double, double>> by_work_;  // sum of seconds, and how many
  double work_ = 0.0;
  double seconds_ = 0.0;
};

class executor {
 public:
  executor(const grid& g, const comparison_folder& folder, cell_runner& runner,
           grid_observer& observer)
      : grid_(g), folder_(folder), runner_(runner), observer_(observer) {}

  grid_outcome run(const std::atomic<bool>& stop);

 private:
  enum class state { waiting, running, ended };
  /// A run; cells with the same config share it.
  struct job {
    settled_cell content;
    state now = state::waiting;
    steady::time_point since;
    std::vector<settled_cell*> cells;
  };

  void add(std::vector<cell> cells, std::vector<settled_cell>& into);
  void settle(job& j);
  /// Lets go the reported cells of groups whose hyper-parameters are known now.
  void release();
  job* next();
  void end(const ended_run& run);
  grid_progress progress() const;

  const grid& grid_;
  const comparison_folder& folder_;
  cell_runner& runner_;
  grid_observer& observer_;
  grid_outcome outcome_;
  std::vector<bool> released_;                     // of each group
  std::vector<std::vector<double>> work_to_come_;  // of each group, once it is released
  std::map<std::string, job> jobs_;                // by the name of the cell
  durations durations_;
  std::size_t done_ = 0;
  std::size_t running_ = 0;
};

void executor::add(std::vector<cell> cells, std::vector<settled_cell>& into) {
  into.resize(cells.size());  // once: jobs keep pointers to the elements
  for (std::size_t i = 0; i < cells.size(); ++i) {
    into[i].what = std::move(cells[i]);
    auto [found, is_new] = jobs_.try_emplace(into[i].what.name);
    job& j = found->second;
    j.cells.push_back(&into[i]);
    if (is_new) {
      j.content.what = into[i].what;
      try {
        j.content.result = folder_.result_of(j.content.what);
      } catch (const run_error&) {
        // Something is missing there: run it again.
      }
      if (j.content.result) {
        durations_.add(j.content.what.work, j.content.result->wall_seconds);
        j.now = state::ended;
      }
    }
    if (j.now == state::ended) settle(j);
  }
}

void executor::settle(job& j) {
  for (settled_cell* c : j.cells) {
    c->result = j.content.result;
    c->failure = j.content.failure;
    ++done_;
  }
  j.cells.clear();
}

void executor::release() {
  for (std::size_t i = 0; i < outcome_.groups.size(); ++i) {
    auto& group = outcome_.groups[i];
    const bool ready = std::all_of(
        group.tuning.begin(), group.tuning.end(),
        [](const settled_cell& c) { return c.result.has_value() || !c.failure.empty(); });
    if (released_[i] || !ready) continue;
    released_[i] = true;
    group.chosen = choose_combination(group.tuning, grid_.combinations(group.run).size());
    add(grid_.reported_cells(group.run, group.setting, group.chosen), group.reported);
  }
}

executor::job* executor::next() {
  job* best = nullptr;
  for (auto& [name, j] : jobs_) {
    if (j.now != state::waiting) continue;
    const auto rank = [](const job& a) {
      return std::pair(a.content.what.tuning, a.content.what.work);
    };
    if (!best || rank(j) > rank(*best)) best = &j;
  }
  return best;
}

void executor::end(const ended_run& run) {
  job& j = jobs_.at(run.name);
  auto& content = j.content;
  try {
    content.result = folder_.result_of(content.what);
    if (!content.result) {
      const auto words = folder_.last_words_of(content.what);
      content.failure = words.empty() ? run.how : fmt::format("{}: {}", run.how, words);
    }
  } catch (const run_error& error) {
    content.failure = error.what();
  }
  if (content.result) {
    const std::chrono::duration<double> taken = steady::now() - j.since;
    durations_.add(content.what.work, taken.count());
  }
  j.now = state::ended;
  --running_;
  settle(j);
}

grid_progress executor::progress() const {
  grid_progress p{done_, grid_.size(), running_, -1.0};
  if (!durations_.known()) return p;
  std::vector<double> left;
  for (const auto& [name, j] : jobs_) {
    if (j.now == state::ended) continue;
    double seconds = durations_.of(j.content.what.work);
    if (j.now == state::running) {
      seconds -= std::chrono::duration<double>(steady::now() - j.since).count();
    }
    left.push_back(std::max(0.0, seconds));
  }
  for (std::size_t i = 0; i < outcome_.groups.size(); ++i) {
    if (released_[i]) continue;
    for (const double work : work_to_come_[i]) left.push_back(durations_.of(work));
  }
  p.seconds_left = estimate_seconds(left, runner_.capacity());
  return p;
}

grid_outcome executor::run(const std::atomic<bool>& stop) {
  for (std::size_t setting = 0; setting < grid_.settings().size(); ++setting) {
    for (std::size_t run = 0; run < grid_.spec().runs.size(); ++run) {
      outcome_.groups.push_back({run, setting, 0, {}, {}});
    }
  }
  released_.resize(outcome_.groups.size());
  for (auto& group : outcome_.groups) {
    add(grid_.tuning_cells(group.run, group.setting), group.tuning);
    auto& to_come = work_to_come_.emplace_back();
    for (const auto& c : grid_.reported_cells(group.run, group.setting, 0)) {
      to_come.push_back(c.work);
    }
  }
  release();
  observer_.started(progress());

  for (;;) {
    if (stop && !outcome_.interrupted) {
      outcome_.interrupted = true;
      runner_.interrupt();
    }
    while (!outcome_.interrupted && running_ < runner_.capacity()) {
      job* j = next();
      if (!j) break;
      folder_.prepare(j->content.what);
      runner_.start(j->content.what);
      j->now = state::running;
      j->since = steady::now();
      ++running_;
    }
    if (running_ == 0) break;
    for (const auto& run : runner_.wait()) {
      end(run);
      if (!outcome_.interrupted) release();
      const auto& content = jobs_.at(run.name).content;
      // What an interrupted run leaves is neither a result nor a failure.
      if (!outcome_.interrupted || content.result) observer_.settled(content, progress());
    }
    observer_.waiting(progress());
  }
  return std::move(outcome_);
}

}  // namespace

std::size_t choose_combination(const std::vector<settled_cell>& tuning, std::size_t combinations) {
  std::vector<double> losses(combinations, 0.0);
  for (const auto& c : tuning) {
    losses[c.what.combination] +=
        c.result ? c.result->final_loss : std::numeric_limits<double>::infinity();
  }
  return static_cast<std::size_t>(std::min_element(losses.begin(), losses.end()) - losses.begin());
}

double estimate_seconds(const std::vector<double>& seconds_left, std::size_t at_a_time) {
  if (seconds_left.empty()) return 0.0;
  const double all = std::accumulate(seconds_left.begin(), seconds_left.end(), 0.0);
  return std::max(all / static_cast<double>(at_a_time),
                  *std::max_element(seconds_left.begin(), seconds_left.end()));
}

grid_outcome execute(const grid& g, const comparison_folder& folder, cell_runner& runner,
                     grid_observer& observer, const std::atomic<bool>& stop) {
  return executor(g, folder, runner, observer).run(stop);
}

}  // namespace rubato
