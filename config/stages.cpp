#include "config/stages.hpp"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "config/error.hpp"

namespace rubato {
namespace {

bool read(std::string_view text, std::int64_t& out) {
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, out);
  return result.ec == std::errc() && result.ptr == end;
}

/// "33.3" as 33300; at most 100 and three decimals.
bool read_thousandths(std::string_view text, std::int64_t& out) {
  const auto point = text.find('.');
  const auto whole = text.substr(0, point);
  const auto decimals = point == std::string_view::npos ? "0" : text.substr(point + 1);
  if (whole.empty() || decimals.empty() || decimals.size() > 3) return false;
  const auto digits = fmt::format("{}{:0<3}", whole, decimals);
  return digits.find_first_not_of("0123456789") == std::string::npos && read(digits, out) &&
         out <= 100'000;
}

/// FROM, in local steps of all workers.
bool read_from(std::string_view text, std::int64_t run_steps, std::int64_t& out) {
  if (text.empty() || text.back() != '%') return read(text, out) && out >= 0;
  text.remove_suffix(1);
  std::int64_t thousandths = 0;
  if (!read_thousandths(text, thousandths)) return false;
  out = (run_steps * thousandths + 50'000) / 100'000;  // run_steps are at most 1e9
  return true;
}

stage parse_stage(const std::string& text, std::int64_t run_steps) {
  constexpr std::int64_t longest_round = 1'000'000;
  const std::string_view all = text;
  const auto space = all.find(' ');
  stage result;
  if (space != std::string_view::npos && read_from(all.substr(0, space), run_steps, result.from)) {
    const auto steps = all.substr(space + 1);
    if (steps == "data-parallel") {
      result.local_steps = 0;
      return result;
    }
    if (read(steps, result.local_steps) && result.local_steps >= 1 &&
        result.local_steps <= longest_round) {
      return result;
    }
  }
  throw usage_error(
      fmt::format("\"{}\" must be the local steps so far, or a percentage of run.local_steps, and "
                  "those of a round, as in \"0 1\", \"2000 16\" or \"33.3% 16\", or "
                  "\"data-parallel\" in place of the second",
                  text));
}

}  // namespace

std::vector<stage> parse_stages(const config& c) {
  if (c.quota.stages.empty()) return {{0, c.quota.local_steps}};
  std::vector<stage> result;
  for (const auto& text : c.quota.stages) {
    const auto next = parse_stage(text, c.run.local_steps);
    if (result.empty() && next.from != 0) {
      throw usage_error(fmt::format("\"{}\" is the first stage, which must begin at 0", text));
    }
    if (!result.empty() && next.from <= result.back().from) {
      throw usage_error(
          fmt::format("\"{}\" begins at local step {}, and must begin after the "
                      "stage before it, which begins at {}",
                      text, next.from, result.back().from));
    }
    result.push_back(next);
  }
  return result;
}

}  // namespace rubato
