#include "config/rules.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/schema.hpp"

namespace rubato {
namespace {

using verdict = std::optional<contradiction>;

verdict check_run_name(const config& c) {
  if (!c.run.name.empty() && c.run.name.find('/') == std::string::npos) return {};
  return contradiction{{"run.name"},
                       fmt::format("run.name = {} must be a name for a folder: not empty and "
                                   "without \"/\"",
                                   to_text(c.run.name))};
}

verdict check_model(const config& c) {
  if (c.model.head_size != 0 || c.model.width % c.model.heads == 0) return {};
  return contradiction{
      {"model.width", "model.heads"},
      fmt::format("model.width = {} is not a multiple of model.heads = {}; change one of them or "
                  "set model.head_size",
                  c.model.width, c.model.heads)};
}

verdict check_data(const config& c) {
  if (c.data.paths.empty()) {
    return contradiction{{"data.paths"},
                         "data.paths = [] must name at least one shard, as in data.paths = "
                         "[\"texts/*.txt\"]"};
  }
  const auto shards = static_cast<std::int64_t>(c.data.paths.size());
  if (c.data.shard_sampling == "fixed" && c.workers.count < shards) {
    return contradiction{
        {"data.shard_sampling", "workers.count", "data.paths"},
        fmt::format("data.shard_sampling = \"fixed\" with workers.count = {} would never train on "
                    "the rest of the {} shards in data.paths; use \"balanced\" or more workers",
                    c.workers.count, shards)};
  }
  return {};
}

verdict check_workers(const config& c) {
  const auto given = static_cast<std::int64_t>(c.workers.seconds_per_step.size());
  if (given == 0 || given == c.workers.count) return {};
  return contradiction{
      {"workers.seconds_per_step", "workers.count"},
      fmt::format("workers.seconds_per_step has {} entries but workers.count = {}; it "
                  "must have none or one a worker",
                  given, c.workers.count)};
}

verdict check_duration(const config& c) {
  // The virtual clock counts nanoseconds in 64 bits, 292 years; jitter needs some room.
  constexpr double longest = 1e9;
  const auto& paces = c.workers.seconds_per_step;
  if (paces.empty()) return {};  // no preset is slow enough to get there
  const double slowest = *std::max_element(paces.begin(), paces.end());
  const auto steps = std::max(c.run.local_steps, c.quota.local_steps);
  if (static_cast<double>(steps) * slowest <= longest) return {};
  return contradiction{
      {"run.local_steps", "workers.seconds_per_step"},
      fmt::format("{} steps at {} seconds a step are more than the {} seconds that a virtual clock "
                  "may take; use fewer or shorter steps",
                  steps, slowest, longest)};
}

verdict check_links(const config& c) {
  const auto check = [&](std::string_view key, const std::vector<double>& values) -> verdict {
    const auto given = static_cast<std::int64_t>(values.size());
    if (given <= 1 || given == c.workers.count) return {};
    return contradiction{{key, "workers.count"},
                         fmt::format("{} has {} entries but workers.count = {}; it must have none, "
                                     "one for all or one a worker",
                                     key, given, c.workers.count)};
  };
  if (auto found = check("network.latency_seconds", c.network.latency_seconds)) return found;
  if (auto found = check("network.bandwidth_mbit", c.network.bandwidth_mbit)) return found;
  // Slower links would take longer than the clock can count.
  constexpr double slowest = 0.001;
  for (const auto bandwidth : c.network.bandwidth_mbit) {
    if (bandwidth > 0.0 && bandwidth < slowest) {
      return contradiction{{"network.bandwidth_mbit"},
                           fmt::format("network.bandwidth_mbit has an entry of {}; each must be 0 "
                                       "(no limit) or at least {}",
                                       bandwidth, slowest)};
    }
  }
  return {};
}

verdict check_inner(const config& c) {
  if (c.inner.final_lr <= c.inner.lr) return {};
  return contradiction{{"inner.final_lr", "inner.lr"},
                       fmt::format("inner.final_lr = {} is above inner.lr = {}; the learning rate "
                                   "can only fall",
                                   c.inner.final_lr, c.inner.lr)};
}

verdict check_outer(const config& c) {
  if (c.outer.optimizer != "delayed-nesterov") return {};
  if (c.outer.mode == "sync") {
    return contradiction{
        {"outer.optimizer", "outer.mode"},
        "outer.optimizer = \"delayed-nesterov\" takes updates one at a time, which "
        "outer.mode = \"sync\" does not; use \"nesterov\", what it stands for there"};
  }
  const bool default_buffer = c.outer.buffer == 0;
  const auto n = default_buffer ? c.workers.count : c.outer.buffer;
  const auto limit = 1.0 / static_cast<double>(n);
  if (c.outer.activation <= limit) return {};
  const std::string_view deciding = default_buffer ? "workers.count" : "outer.buffer";
  return contradiction{{"outer.activation", deciding},
                       fmt::format("outer.activation = {} is above 1/N = {} (N = {} = {})",
                                   c.outer.activation, limit, deciding, n)};
}

verdict check_window(const config& c) {
  if (c.window.quorum <= c.workers.count) return {};
  return contradiction{{"window.quorum", "workers.count"},
                       fmt::format("window.quorum = {} can never be reached with workers.count = "
                                   "{}; it must be at most that",
                                   c.window.quorum, c.workers.count)};
}

}  // namespace

std::optional<contradiction> find_contradiction(const config& c) {
  for (const auto check : {check_run_name, check_model, check_data, check_workers, check_duration,
                           check_links, check_inner, check_outer, check_window}) {
    if (auto found = check(c)) return found;
  }
  return {};
}

}  // namespace rubato
