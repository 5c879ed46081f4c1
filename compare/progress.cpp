#include "compare/progress.hpp"

#include <fmt/format.h>

#include <cmath>

#include "monitoring/human.hpp"

namespace rubato {
namespace {

constexpr const char* erase_line = "\r\x1b[K";

std::string outcome_text(const settled_cell& c) {
  if (!c.result) return "FAILED: " + c.failure;
  if (c.result->diverged) return "diverged";
  return fmt::format("loss {}", human_number(c.result->final_loss, 4));
}

}  // namespace

std::string progress_text(const grid_progress& p) {
  const double share =
      p.total > 0 ? 100.0 * static_cast<double>(p.done) / static_cast<double>(p.total) : 100.0;
  return fmt::format("{}/{} cells  {:.0f}%  {} running  ETA {}", p.done, p.total, std::floor(share),
                     p.running, human_duration(p.seconds_left));
}

progress_printer::progress_printer(const grid& g, std::FILE* out, bool live)
    : grid_(g), out_(out), live_(live) {}

progress_printer::~progress_printer() {
  if (line_shown_) print(erase_line);
}

void progress_printer::started(const grid_progress& p) {
  const auto& spec = grid_.spec();
  const auto many = [](std::size_t n, const char* what) {
    return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
  };
  std::string text =
      fmt::format("{}: {} in {}, {} each{}\n", grid_.name(), many(spec.runs.size(), "run"),
                  many(grid_.settings().size(), "setting"), many(spec.seeds.size(), "seed"),
                  spec.tunes() ? ", after tuning with " + many(spec.tuning_seeds.size(), "other")
                               : std::string());
  text += fmt::format("  {}", many(p.total, "cell"));
  if (p.done > 0) text += fmt::format(", {} of them finished before", p.done);
  print(text + '\n');
}

void progress_printer::settled(const settled_cell& c, const grid_progress& p) {
  print(fmt::format("{}  [{}/{}] {}: {}{}\n", line_shown_ ? erase_line : "", p.done, p.total,
                    cell_text(grid_, c.what), outcome_text(c),
                    live_ ? "" : "  ETA " + human_duration(p.seconds_left)));
  line_shown_ = false;
}

void progress_printer::waiting(const grid_progress& p) {
  if (!live_) return;
  print(erase_line + progress_text(p));
  line_shown_ = true;
}

void progress_printer::print(const std::string& text) {
  // What the terminal does not take is lost: a comparison must not fail for its display.
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

}  // namespace rubato
