#include "monitoring/console.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "monitoring/human.hpp"

namespace rubato {
namespace {

constexpr double live_interval = 0.2;    // seconds between redraws of the live line
constexpr double plain_interval = 10.0;  // seconds between plain progress lines
constexpr int default_columns = 80;
constexpr std::size_t rows_shown = 12;  // of the plan's tables; a run may have thousands of workers
constexpr const char* erase_line = "\r\x1b[K";
constexpr const char* table_row = "{:>8}  {:>7}  {:>12}  {:>13}  {:>10}  {:>9}  {:>8}\n";

int terminal_columns(std::FILE* out) {
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return default_columns;
}

std::string more_rows(std::size_t all, const char* what) {
  if (all <= rows_shown) return "";
  return fmt::format("  ... and {} more {}\n", all - rows_shown, what);
}

std::string worker_table(const run_plan& plan) {
  std::string text = "  worker           pace    first round\n";
  for (std::size_t i = 0; i < std::min(plan.workers.size(), rows_shown); ++i) {
    const auto& worker = plan.workers[i];
    const double round_seconds = static_cast<double>(worker.quota) * worker.seconds_per_step;
    text += fmt::format("  {:>6}  {:>6} s/step    {} step{} in {}\n", i,
                        human_number(worker.seconds_per_step, 3), worker.quota,
                        worker.quota == 1 ? "" : "s", human_duration(round_seconds));
  }
  return text + more_rows(plan.workers.size(), "workers");
}

std::string shard_table(const run_plan& plan) {
  std::size_t name_width = 5;
  for (const auto& shard : plan.shards) name_width = std::max(name_width, shard.name.size());
  std::string text =
      fmt::format("  {:<{}}  training data  held-out data   files\n", "shard", name_width);
  for (std::size_t i = 0; i < std::min(plan.shards.size(), rows_shown); ++i) {
    const auto& shard = plan.shards[i];
    text += fmt::format("  {:<{}}  {:>13}  {:>13}  {:>6}", shard.name, name_width,
                        human_bytes(shard.training_bytes), human_bytes(shard.held_out_bytes),
                        shard.files);
    if (shard.duplicates > 0) {
      text += fmt::format(" ({} duplicate{} left out)", shard.duplicates,
                          shard.duplicates == 1 ? "" : "s");
    }
    text += '\n';
  }
  return text + more_rows(plan.shards.size(), "shards");
}

}  // namespace

std::string plan_text(const run_plan& plan) {
  std::string text = fmt::format("{}: {}\n", plan.name, plan.method);
  text += fmt::format("  model      {} parameters\n",
                      human_count(static_cast<double>(plan.parameters)));
  text += fmt::format("  budget     {} local steps, summed over {} worker{}\n", plan.local_steps,
                      plan.workers.size(), plan.workers.size() == 1 ? "" : "s");
  const std::int64_t computing = plan.threads * plan.threads_per_lane;
  text += fmt::format("  threads    {} for steps ({} worker{} at a time), {} for everything else\n",
                      computing, plan.threads, plan.threads == 1 ? "" : "s", plan.other_threads);
  if (!plan.blas.empty()) text += fmt::format("  BLAS       {}\n", plan.blas);
  text += fmt::format("  clock      {}{}\n", plan.clock,
                      plan.clock == "virtual" ? " (the paces below are simulated)" : "");
  text += fmt::format("  directory  {}\n\n", plan.directory);
  text += worker_table(plan) + '\n' + shard_table(plan) + '\n';
  const std::string baselines = human_baselines(plan.baselines);
  if (!baselines.empty()) {
    text += fmt::format("  to beat    {} bits/byte (n-gram models)\n\n", baselines);
  }
  return text;
}

std::string progress_line(const run_plan& plan, const progress& p, int columns) {
  const double done = static_cast<double>(p.local_steps);
  const double budget = static_cast<double>(plan.local_steps);
  const double share = budget > 0.0 ? std::min(1.0, done / budget) : 1.0;
  const double remaining = share > 0.0 ? p.wall_seconds * (1.0 - share) / share : -1.0;
  const double rate = p.wall_seconds > 0.0 ? static_cast<double>(p.tokens) / p.wall_seconds : -1.0;

  struct field {
    std::string text;
    int rank;  // 0 is the last to be left out
  };
  const std::array<field, 7> fields{{
      {fmt::format("{}/{} steps", human_count(done), human_count(budget)), 1},
      {fmt::format("{:.0f}%", std::floor(100.0 * share)), 0},
      {fmt::format("loss {}", human_number(p.loss, 3)), 3},
      {fmt::format("staleness {:.1f}", p.staleness), 4},
      {fmt::format("{} tokens/s", human_count(rate)), 5},
      {fmt::format("{} {}", plan.clock == "virtual" ? "virtual" : "elapsed",
                   human_duration(p.clock_seconds)),
       6},
      {fmt::format("ETA {}", human_duration(remaining)), 2},
  }};

  // How many ranks fit; what is shown keeps its place in the line.
  const auto width = static_cast<std::size_t>(std::max(columns, 0));
  std::string line;
  for (int ranks = static_cast<int>(fields.size()); ranks > 0; --ranks) {
    line.clear();
    for (const field& f : fields) {
      if (f.rank < ranks) line += (line.empty() ? "" : "  ") + f.text;
    }
    if (line.size() <= width) return line;
  }
  return line.substr(0, width);
}

console::console(std::FILE* out, bool live)
    : out_(out), live_(live), next_draw_(live ? 0.0 : plain_interval) {}

console::~console() {
  clear();
}

void console::started(const run_plan& plan) {
  plan_ = plan;
  print(plan_text(plan));
}

void console::progressed(const progress& p) {
  if (p.wall_seconds < next_draw_) return;
  if (live_) {
    // One column is left free: some terminals wrap as soon as the last one is written.
    print(erase_line + progress_line(plan_, p, terminal_columns(out_) - 1));
    line_shown_ = true;
    next_draw_ = p.wall_seconds + live_interval;
  } else {
    print(progress_line(plan_, p, 120) + '\n');
    next_draw_ = p.wall_seconds + plain_interval;
  }
}

void console::evaluated(const evaluation& e) {
  clear();
  if (!table_begun_) {
    print(fmt::format(table_row, "steps", "version",
                      plan_.clock == "virtual" ? "virtual time" : "time", "held-out loss",
                      "perplexity", "bits/byte", "accuracy"));
    table_begun_ = true;
  }
  print(fmt::format(table_row, e.local_steps, e.version, human_duration(e.clock_seconds),
                    human_number(e.loss, 4), human_number(e.perplexity, 2),
                    human_number(e.bits_per_byte, 4), fmt::format("{:.1f}%", 100.0 * e.accuracy)));
  if (live_) next_draw_ = 0.0;  // the live line comes back with the next record
}

void console::clear() {
  if (!line_shown_) return;
  print(erase_line);
  line_shown_ = false;
}

void console::print(const std::string& text) {
  // What the terminal does not take is lost: a run must not fail for its display.
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

}  // namespace rubato
