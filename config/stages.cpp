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

stage parse_stage(const std::string& text) {
  constexpr std::int64_t longest_round = 1'000'000;
  const std::string_view all = text;
  const auto space = all.find(' ');
  stage result;
  if (space != std::string_view::npos && read(all.substr(0, space), result.from) &&
      result.from >= 0) {
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
      fmt::format("\"{}\" must be the local steps so far and those of a round, as in \"0 1\" or "
                  "\"2000 16\", or "
                  "\"data-parallel\" in place of the second",
                  text));
}

}  // namespace

std::vector<stage> parse_stages(const config::quota_section& quota) {
  if (quota.stages.empty()) return {{0, quota.local_steps}};
  std::vector<stage> result;
  for (const auto& text : quota.stages) {
    result.push_back(parse_stage(text));
    if (result.size() == 1 && result[0].from != 0) {
      throw usage_error(fmt::format("\"{}\" is the first stage, which must begin at 0", text));
    }
    if (result.size() > 1 && result.back().from <= result[result.size() - 2].from) {
      throw usage_error(fmt::format("\"{}\" must begin after the stage before it", text));
    }
  }
  return result;
}

}  // namespace rubato
