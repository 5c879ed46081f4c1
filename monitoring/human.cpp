#include "monitoring/human.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

namespace rubato {
namespace {

// Three digits and a unit. A limit such as 999.5 is where rounding would give a fourth digit.
std::string scaled(double value, const std::array<std::string_view, 6>& units) {
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= 1000.0;
    ++unit;
  }
  const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, decimals, units[unit]);
}

}  // namespace

std::string human_count(double value) {
  if (!std::isfinite(value) || value < 0.0) return "?";
  if (value < 9999.5) return fmt::format("{:.0f}", value);
  return scaled(value, {"", "k", "M", "G", "T", "P"});
}

std::string human_bytes(std::uint64_t bytes) {
  return scaled(static_cast<double>(bytes), {" B", " kB", " MB", " GB", " TB", " PB"});
}

std::string human_duration(double seconds) {
  constexpr double longest = 1e12;  // keeps the conversion to an integer defined
  if (!std::isfinite(seconds) || seconds < 0.0 || seconds > longest) return "?";
  if (seconds > 0.0 && seconds < 0.00995) return fmt::format("{:.1f}ms", 1000.0 * seconds);
  if (seconds > 0.0 && seconds < 0.9995) return fmt::format("{:.0f}ms", 1000.0 * seconds);
  if (seconds < 9.95) return fmt::format("{:.1f}s", seconds);
  // Rounded to the smaller unit before splitting, so that no "3m 60s" appears.
  const auto whole_seconds = std::llround(seconds);
  if (whole_seconds < 60) return fmt::format("{}s", whole_seconds);
  if (whole_seconds < 60 * 60) {
    return fmt::format("{}m {:02}s", whole_seconds / 60, whole_seconds % 60);
  }
  const auto minutes = std::llround(seconds / 60.0);
  if (minutes < 24 * 60) return fmt::format("{}h {:02}m", minutes / 60, minutes % 60);
  const auto hours = std::llround(seconds / 3600.0);
  return fmt::format("{}d {:02}h", hours / 24, hours % 24);
}

std::string human_number(double value, int decimals) {
  if (std::abs(value) >= 1e6) return fmt::format("{:.3g}", value);
  return fmt::format("{:.{}f}", value, decimals);
}

std::string human_pace(double seconds_per_step) {
  if (seconds_per_step < 0.01) return fmt::format("{:.3g} s", seconds_per_step);
  return human_number(seconds_per_step, 3) + " s";
}

std::string human_event(const worker_event& event, std::size_t workers) {
  const bool several = event.last > event.first;
  std::string who = fmt::format("worker {}", event.first);
  if (several) {
    const bool all = event.first == 0 && static_cast<std::size_t>(event.last) + 1 == workers;
    who = all ? "all workers" : fmt::format("workers {} to {}", event.first, event.last);
  }
  std::string what;
  switch (event.what) {
    case worker_event::kind::pace:
      what = fmt::format("take{} {} a step", several ? "" : "s", human_pace(event.value));
      break;
    case worker_event::kind::slow_down:
      what = fmt::format("take{} {:.3g} times as long a step", several ? "" : "s", event.value);
      break;
    case worker_event::kind::pause:
      what = several ? "pause" : "pauses";
      break;
    case worker_event::kind::leave:
      what = several ? "leave" : "leaves";
      break;
  }
  std::string how_long = "for " + human_duration(event.duration);
  if (std::isinf(event.duration)) {
    how_long = event.what == worker_event::kind::leave ? "for good" : "from then on";
  }
  return fmt::format("at {} {} {} {}", human_duration(event.at), who, what, how_long);
}

std::string human_baselines(const std::vector<baseline_result>& baselines) {
  std::string text;
  for (const auto& b : baselines) {
    text += fmt::format("{}{} {:.3f}", text.empty() ? "" : ", ", b.name, b.bits_per_byte);
  }
  return text;
}

}  // namespace rubato
