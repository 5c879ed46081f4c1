#include "monitoring/console.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "config/worker_events.hpp"
#include "monitoring/human.hpp"

namespace rubato {
namespace {

constexpr double live_interval = 0.2;    // seconds between redraws of the live line
constexpr double plain_interval = 10.0;  // seconds between plain progress lines
constexpr int default_columns = 80;
constexpr std::size_t rows_shown = 12;  // of the plan's tables; a run may have thousands of workers
constexpr std::size_t events_shown = 6;
constexpr std::size_t changes_shown = 20;  // of workers at the same time
constexpr const char* erase_line = "\r\x1b[K";

int terminal_columns(std::FILE* out) {
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return default_columns;
}

const char* plural(std::int64_t count) {
  return count == 1 ? "" : "s";
}

std::string more_rows(std::size_t all, const char* what) {
  if (all <= rows_shown) return "";
  return fmt::format("  ... and {} more {}\n", all - rows_shown, what);
}

std::string clock_text(const run_plan& plan) {
  if (!plan.paced) return plan.clock;
  return plan.clock + (plan.clock == "virtual" ? " (the paces below are simulated)"
                                               : " (workers are held to the paces below)");
}

// What will happen to workers, in order of time.
std::string event_rows(const run_plan& plan) {
  std::vector<worker_event> events;
  for (const auto& text : plan.events) {
    events.push_back(parse_worker_event(text, static_cast<std::int64_t>(plan.workers.size())));
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const worker_event& a, const worker_event& b) { return a.at < b.at; });
  std::string text;
  const char* label = "events";
  for (std::size_t i = 0; i < std::min(events.size(), events_shown); ++i) {
    text += fmt::format("  {:<9}  {}\n", label, human_event(events[i], plan.workers.size()));
    label = "";
  }
  if (events.size() > events_shown) {
    text += fmt::format("  {:<9}  ... and {} more\n", label, events.size() - events_shown);
  }
  return text;
}

std::string worker_table(const run_plan& plan) {
  const int width = plan.paced ? 13 : 17;
  std::string text = fmt::format("  worker  {:>{}}    first round\n", "pace", width);
  for (std::size_t i = 0; i < std::min(plan.workers.size(), rows_shown); ++i) {
    const auto& worker = plan.workers[i];
    const std::string pace =
        plan.paced ? human_pace(worker.seconds_per_step) + "/step" : "as fast as it can";
    text += fmt::format("  {:>6}  {:>{}}    {} step{}", i, pace, width, worker.quota,
                        plural(worker.quota));
    if (plan.paced) {
      const double seconds = static_cast<double>(worker.quota) * worker.seconds_per_step;
      text += " in " + human_duration(seconds);
    }
    text += '\n';
  }
  return text + more_rows(plan.workers.size(), "workers");
}

std::string shard_table(const run_plan& plan) {
  const bool text = plan.unit == "token";  // in files; else points
  const bool held_out = plan.evaluated_on == "held-out";
  const int width = text ? 13 : 15;
  const auto amount = [&](std::uint64_t size) {
    return text ? human_bytes(size) : human_count(static_cast<double>(size));
  };
  std::size_t name_width = 5;
  for (const auto& shard : plan.shards) name_width = std::max(name_width, shard.name.size());

  const std::string what = text ? "data" : plan.unit + "s";
  std::string table = fmt::format("  {:<{}}  training {}", "shard", name_width, what);
  if (held_out) table += fmt::format("  held-out {}", what);
  table += text ? "   files\n" : "\n";
  for (std::size_t i = 0; i < std::min(plan.shards.size(), rows_shown); ++i) {
    const auto& shard = plan.shards[i];
    table +=
        fmt::format("  {:<{}}  {:>{}}", shard.name, name_width, amount(shard.training_size), width);
    if (held_out) table += fmt::format("  {:>{}}", amount(shard.held_out_size), width);
    if (text) table += fmt::format("  {:>6}", shard.files);
    if (shard.duplicates > 0) {
      table += fmt::format(" ({} duplicate{} left out)", shard.duplicates,
                           plural(static_cast<std::int64_t>(shard.duplicates)));
    }
    table += '\n';
  }
  return table + more_rows(plan.shards.size(), "shards");
}

/// ": ..., ...", largest first; nothing for a model in one piece.
std::string parameter_parts(const run_plan& plan) {
  if (plan.parameter_parts.size() < 2) return {};
  auto parts = plan.parameter_parts;
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  std::string text;
  for (const auto& part : parts) {
    text += fmt::format("{} {} {}", text.empty() ? ":" : ",", part.name,
                        human_count(static_cast<double>(part.count)));
  }
  return text;
}

// A row of the table of evaluations. What only text has is left out elsewhere, and so is an empty
// last cell.
std::string evaluation_row(const run_plan& plan, const std::array<std::string, 8>& cells) {
  std::string row =
      fmt::format("{:>8}  {:>7}  {:>12}  {:>13}", cells[0], cells[1], cells[2], cells[3]);
  if (plan.unit == "token") row += fmt::format("  {:>10}  {:>9}", cells[4], cells[5]);
  row += fmt::format("  {:>8}", cells[6]);
  if (!cells[7].empty()) row += fmt::format("  {:>6}", cells[7]);
  return row + '\n';
}

}  // namespace

std::string plan_text(const run_plan& plan) {
  std::string text = fmt::format("{}: {}\n", plan.name, plan.method);
  const auto row = [&text](const char* name, const std::string& value) {
    text += fmt::format("  {:<9}  {}\n", name, value);
  };
  row("model",
      human_count(static_cast<double>(plan.parameters)) + " parameters" + parameter_parts(plan));
  row("budget",
      fmt::format("{} local steps, summed over {} worker{}", plan.local_steps, plan.workers.size(),
                  plural(static_cast<std::int64_t>(plan.workers.size()))));
  if (plan.open) {
    row("threads", fmt::format("{}; the workers compute elsewhere", plan.other_threads));
  } else {
    row("threads", fmt::format("{} for steps ({} worker{} at a time), {} for everything else",
                               plan.threads * plan.threads_per_lane, plan.threads,
                               plural(plan.threads), plan.other_threads));
  }
  if (!plan.blas.empty()) row("BLAS", plan.blas);
  if (!plan.precision.empty()) {
    row("precision",
        plan.precision == "f32" ? "f32" : plan.precision + " products, everything else f32");
  }
  row("clock", clock_text(plan));
  text += event_rows(plan);
  if (plan.evaluated_on == "training") {
    row("evaluated", "on points that are trained on, not on held-out ones");
  }
  row("directory", plan.directory);
  text += '\n';
  if (!plan.open) text += worker_table(plan) + '\n';
  text += shard_table(plan) + '\n';
  for (const auto& note : plan.data_notes) text += fmt::format("  note: {}\n\n", note);
  const std::string baselines = human_baselines(plan.baselines);
  if (!baselines.empty()) {
    text += fmt::format("  to beat    {} bits/byte (n-gram models)\n\n", baselines);
  }
  return text;
}

std::string change_text(const worker_change_record& change) {
  std::string text = fmt::format("worker {} ", change.worker);
  if (change.what == "leave") return text + "is gone (left)";
  if (change.what == "join") {
    text += "is back";
  } else if (change.seconds_per_step == 0.0) {
    return text + "pauses";
  } else {
    text += fmt::format("now takes {} a step", human_pace(change.seconds_per_step));
  }
  return text + fmt::format("; next round {} step{}", change.quota, plural(change.quota));
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
      {fmt::format("{} {}s/s", human_count(rate), plan.unit), 5},
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
  if (changes_hidden_ > 0) clear();
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
  const bool with_top5 = !std::isnan(e.top5);
  if (!table_begun_) {
    print(evaluation_row(plan_,
                         {"steps", "version", plan_.clock == "virtual" ? "virtual time" : "time",
                          plan_.evaluated_on + " loss", "perplexity", "bits/byte", "accuracy",
                          with_top5 ? "top-5" : ""}));
    table_begun_ = true;
  }
  print(evaluation_row(plan_,
                       {fmt::format("{}", e.local_steps), fmt::format("{}", e.version),
                        human_duration(e.clock_seconds), human_number(e.loss, 4),
                        human_number(e.perplexity, 2), human_number(e.bits_per_byte, 4),
                        std::isnan(e.accuracy) ? "" : fmt::format("{:.1f}%", 100.0 * e.accuracy),
                        with_top5 ? fmt::format("{:.1f}%", 100.0 * e.top5) : ""}));
}

void console::worker_changed(const worker_change_record& change) {
  if (change.clock_seconds != changes_at_) {
    clear();
    changes_at_ = change.clock_seconds;
    changes_shown_ = 0;
  }
  if (changes_shown_ == changes_shown) {
    ++changes_hidden_;
    return;
  }
  clear();
  print(fmt::format("{:>9}  {}\n", human_duration(change.clock_seconds), change_text(change)));
  ++changes_shown_;
}

void console::remarked(const std::string& sentence) {
  clear();
  print(fmt::format("{:>9}  {}\n", "", sentence));
}

void console::clear() {
  if (line_shown_) {
    print(erase_line);
    line_shown_ = false;
    next_draw_ = 0.0;  // the live line comes back with the next record
  }
  if (changes_hidden_ > 0) {
    print(fmt::format("{:>9}  ... and {} more workers\n", "", changes_hidden_));
    changes_hidden_ = 0;
  }
}

void console::print(const std::string& text) {
  // What the terminal does not take is lost: a run must not fail for its display.
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

}  // namespace rubato
