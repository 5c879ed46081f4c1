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

std::string human_baselines(const std::vector<baseline_result>& baselines) {
  std::string text;
  for (const auto& b : baselines) {
    text += fmt::format("{}{} {:.3f}", text.empty() ? "" : ", ", b.name, b.bits_per_byte);
  }
  return text;
}

}  // namespace rubato
