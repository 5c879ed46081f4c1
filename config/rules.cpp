#include "config/rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <utility>

#include "config/error.hpp"
#include "config/registration.hpp"
#include "config/schema.hpp"
#include "config/stages.hpp"
#include "config/worker_events.hpp"

namespace rubato {
namespace {

using verdict = std::optional<contradiction>;

constexpr double slowest_preset = 3.33;  // seconds a step, of workers.heterogeneity

verdict check_run_name(const config& c) {
  if (!c.run.name.empty() && c.run.name.find('/') == std::string::npos) return {};
  return contradiction{{"run.name"},
                       fmt::format("run.name = {} must be a name for a folder: not empty and "
                                   "without \"/\"",
                                   to_text(c.run.name))};
}

std::vector<std::string_view> data_kinds_for(std::string_view model_kind) {
  if (model_kind == "transformer") return {"text", "tokens"};
  if (model_kind == "torchscript") return {"tensors"};
  if (model_kind == "mlp" || model_kind == "null") return {"gaussian-mixtures"};
  return {"synthetic-images", "cifar10", "cifar100", "image-folder"};
}

verdict check_resnet(const config& c) {
  const auto depth = c.model.depth;
  const bool four_stages = depth == 18 || depth == 34 || depth == 101;  // 50 and 152 are 6n + 2
  if (four_stages || depth % 6 == 2) return {};
  const auto below = (depth - 2) / 6 * 6 + 2;
  return contradiction{{"model.depth"},
                       fmt::format("model.depth = {} is not the depth of a resnet; it must be 18, "
                                   "34, 50, 101, 152 or another 6n + 2, such as {} or {}",
                                   depth, below, below + 6)};
}

verdict check_positions(const config& c) {
  const bool given = c.model.head_size > 0;
  const auto size = given ? c.model.head_size : c.model.width / c.model.heads;
  if (c.model.positions != "rotary" || size % 2 == 0) return {};
  contradiction found{{"model.positions", "model.head_size"},
                      fmt::format("model.positions = \"rotary\" turns pairs of numbers, but a head "
                                  "has {}; make model.head_size even",
                                  size)};
  if (!given) found.keys = {"model.positions", "model.width", "model.heads"};
  return found;
}

verdict check_model(const config& c) {
  if (is_registered("model.kind", c.model.kind)) return {};
  const auto kinds = data_kinds_for(c.model.kind);
  // What is in data that a program has registered, only that program knows.
  if (!is_registered("data.kind", c.data.kind) &&
      std::find(kinds.begin(), kinds.end(), c.data.kind) == kinds.end()) {
    return contradiction{
        {"model.kind", "data.kind"},
        fmt::format("model.kind = \"{}\" cannot learn from data.kind = \"{}\"; it takes \"{}\"",
                    c.model.kind, c.data.kind, fmt::join(kinds, "\" or \""))};
  }
  if (c.model.kind == "resnet") return check_resnet(c);
  if (c.model.kind == "torchscript" && c.model.path.empty()) {
    return contradiction{{"model.path"},
                         "model.path = \"\" must be the file of the model, as in model.path = "
                         "\"model.pt\""};
  }
  if (c.model.kind != "transformer") return {};
  if (c.model.head_size != 0 || c.model.width % c.model.heads == 0) return check_positions(c);
  return contradiction{
      {"model.width", "model.heads"},
      fmt::format("model.width = {} is not a multiple of model.heads = {}; change one of them or "
                  "set model.head_size",
                  c.model.width, c.model.heads)};
}

verdict check_mixtures(const config& c) {
  if (c.data.kind != "gaussian-mixtures" && c.data.kind != "synthetic-images") return {};
  if (c.data.clusters % c.data.classes != 0) {
    return contradiction{{"data.clusters", "data.classes"},
                         fmt::format("data.clusters = {} is not a multiple of data.classes = {}",
                                     c.data.clusters, c.data.classes)};
  }
  const auto usable = c.data.points / c.data.clusters * c.data.clusters;
  if (usable < c.data.shards * c.data.batch_size) {
    return contradiction{
        {"data.points", "data.clusters", "data.shards", "data.batch_size"},
        fmt::format("data.points = {} must be enough for equally many in each of the {} clusters "
                    "and a batch of {} in each of the {} shards",
                    c.data.points, c.data.clusters, c.data.batch_size, c.data.shards)};
  }
  return {};
}

verdict check_split(const config& c) {
  const bool tensors = c.data.kind == "tensors";
  if (c.data.split != (tensors ? "dirichlet" : "files")) return {};
  return contradiction{
      {"data.split", "data.kind"},
      fmt::format("data.split = \"{}\" is not for data.kind = \"{}\"; use \"iid\" or \"{}\"",
                  c.data.split, c.data.kind, tensors ? "files" : "dirichlet")};
}

verdict check_data(const config& c) {
  if (is_registered("data.kind", c.data.kind)) return {};
  if (auto found = check_split(c)) return found;
  const bool text = c.data.kind == "text";
  if (text && c.data.paths.empty()) {
    return contradiction{{"data.paths"},
                         "data.paths = [] must name at least one shard, as in data.paths = "
                         "[\"texts/*.txt\"]"};
  }
  const bool tensors = c.data.kind == "tensors";
  if (tensors && (c.data.paths.empty() || c.data.tensors.empty())) {
    const std::string_view key = c.data.paths.empty() ? "data.paths" : "data.tensors";
    return contradiction{
        {key},
        fmt::format("{} = [] must name at least one {}", key,
                    c.data.paths.empty() ? "file, as in data.paths = [\"data.safetensors\"]"
                                         : "tensor, as in data.tensors = [\"x\", \"y\"]")};
  }
  if (c.data.paths.empty() && in_use(*find_key("data.paths"), c)) {
    return contradiction{{"data.paths"},
                         fmt::format("data.paths = [] must name the folder of the {}, as in "
                                     "data.paths = [\"{}\"]",
                                     c.data.kind == "tokens" ? "corpus" : "images",
                                     c.data.kind == "tokens" ? "corpus" : "pictures")};
  }
  if (c.data.kind == "tokens") return {};  // only the corpus says how many shards it has
  const bool by_path = text || (tensors && c.data.split == "files");
  const auto shards = by_path ? static_cast<std::int64_t>(c.data.paths.size()) : c.data.shards;
  if (c.data.shard_sampling == "fixed" && c.workers.count < shards) {
    const std::string_view key = by_path ? "data.paths" : "data.shards";
    return contradiction{
        {"data.shard_sampling", "workers.count", key},
        fmt::format("data.shard_sampling = \"fixed\" with workers.count = {} would never train on "
                    "the rest of the {} shards of {}; use \"balanced\" or more workers",
                    c.workers.count, shards, key)};
  }
  return {};
}

bool is_device(const std::string& name) {
  constexpr std::string_view gpu = "cuda", prefix = "cuda:";
  if (name == "cpu" || name == gpu) return true;
  const auto number = name.starts_with(prefix) ? name.substr(prefix.size()) : "";
  return !number.empty() && number.size() <= 2 &&
         number.find_first_not_of("0123456789") == number.npos;
}

verdict check_devices(const config& c) {
  const auto& devices = c.workers.device;
  if (devices.empty() || !std::all_of(devices.begin(), devices.end(), is_device)) {
    return contradiction{{"workers.device"},
                         fmt::format("workers.device = {} must be \"cpu\", \"cuda\", \"cuda:N\" "
                                     "with the number of a GPU, or a list of these",
                                     to_text(devices))};
  }
  if (c.model.kind != "null" || devices == config{}.workers.device) return {};
  return contradiction{{"workers.device", "model.kind"},
                       fmt::format("workers.device = {} is not for model.kind = \"null\", which "
                                   "computes nothing",
                                   to_text(devices))};
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

verdict check_events(const config& c) {
  for (const auto& text : c.workers.events) {
    worker_event event;
    try {
      event = parse_worker_event(text, c.workers.count);
    } catch (const usage_error& error) {
      return contradiction{
          {"workers.events"},
          fmt::format("workers.events has an entry {}: {}", to_text(text), error.what())};
    }
    if (c.paced() || event.what == worker_event::kind::leave) continue;
    return contradiction{
        {"workers.events", "clock.mode", "workers.throttle"},
        fmt::format("workers.events has an entry {}, but on the wall clock a worker's pace can "
                    "only be changed with workers.throttle = true",
                    to_text(text))};
  }
  return {};
}

verdict check_stages(const config& c) {
  try {
    for (const auto& stage : parse_stages(c)) {
      if (!stage.data_parallel()) continue;
      if (c.outer.mode != "sync") {
        return contradiction{{"quota.stages", "outer.mode"},
                             "quota.stages has a data-parallel stage, which needs outer.mode = "
                             "\"sync\""};
      }
      if (c.window.quorum > 0) {
        return contradiction{{"quota.stages", "window.quorum"},
                             "quota.stages has a data-parallel stage, which needs the gradients of "
                             "all workers, so window.quorum must be 0"};
      }
    }
  } catch (const usage_error& error) {
    return contradiction{{"quota.stages"},
                         fmt::format("quota.stages has a wrong entry: {}", error.what())};
  }
  if (c.inner.state != "average" || c.outer.mode == "sync") return {};
  return contradiction{{"inner.state", "outer.mode"},
                       "inner.state = \"average\" takes the mean of all workers, so it needs "
                       "outer.mode = \"sync\""};
}

verdict check_groups(const config& c) {
  if (c.workers.count % c.outer.group_size != 0) {
    return contradiction{
        {"outer.group_size", "workers.count"},
        fmt::format("outer.group_size = {} does not divide workers.count = {} into whole groups",
                    c.outer.group_size, c.workers.count)};
  }
  if (c.outer.group_rounds == 1) return {};
  const auto refuse = [&](std::string_view key, std::string_view reason) {
    return contradiction{{"outer.group_rounds", key},
                         fmt::format("outer.group_rounds = {} lets groups average among "
                                     "themselves, {}",
                                     c.outer.group_rounds, reason)};
  };
  if (c.window.quorum > 0) {
    return refuse("window.quorum", "which waits for all of them, so window.quorum must be 0");
  }
  if (c.inner.state == "average") {
    return refuse("inner.state",
                  "but inner.state = \"average\" is a mean of all workers; use \"keep\" or "
                  "\"zero\"");
  }
  if (c.network.codec_down != "f32") {
    return refuse("network.codec_down",
                  "which must start from the same parameters, so network.codec_down must be "
                  "\"f32\"");
  }
  const auto stages = parse_stages(c);
  if (std::any_of(stages.begin(), stages.end(), [](const auto& s) { return s.data_parallel(); })) {
    return refuse("quota.stages",
                  "which a data-parallel stage of quota.stages has no rounds for; use 1");
  }
  return {};
}

verdict check_speeds(const config& c) {
  if (c.quota.speeds != "given" || c.paced()) return {};
  return contradiction{
      {"quota.speeds", "clock.mode", "workers.throttle"},
      "quota.speeds = \"given\" is of no use with clock.mode = \"wall\", where workers are as fast "
      "as the machine is; use \"measured\", or workers.throttle = true to keep to the given paces"};
}

/// The greatest factor on any worker's pace at any time, of these events alone.
double greatest_factor(const std::vector<worker_event>& slow_downs) {
  // Wherever it is, at least one of the slow-downs that make it has its first worker there.
  std::set<std::int64_t> workers;
  for (const auto& event : slow_downs) workers.insert(event.first);
  double greatest = 0.0;  // logarithms: slow-downs that overlap multiply
  for (const auto worker : workers) {
    std::vector<std::pair<double, double>> changes;  // sorted, at equal times ends come first
    for (const auto& event : slow_downs) {
      if (worker < event.first || worker > event.last) continue;
      changes.emplace_back(event.at, std::log(event.value));
      changes.emplace_back(event.at + event.duration, -std::log(event.value));
    }
    std::sort(changes.begin(), changes.end());
    double sum = 0.0;
    for (const auto& change : changes) greatest = std::max(greatest, sum += change.second);
  }
  return std::exp(greatest);
}

verdict check_duration(const config& c) {
  // Clocks count nanoseconds in 64 bits, 292 years; events and jitter need some room.
  constexpr double longest = 1e9;
  const auto& paces = c.workers.seconds_per_step;
  // No preset is slow enough to get there by itself.
  if (!c.paced() || (paces.empty() && c.workers.events.empty())) return {};
  double slowest = paces.empty() ? slowest_preset : *std::max_element(paces.begin(), paces.end());
  std::vector<worker_event> slow_downs, lasting;
  for (const auto& text : c.workers.events) {
    const auto event = parse_worker_event(text, c.workers.count);
    if (event.what == worker_event::kind::pace) slowest = std::max(slowest, event.value);
    if (event.what != worker_event::kind::slow_down || event.value <= 1.0) continue;
    slow_downs.push_back(event);
    if (std::isinf(event.duration)) lasting.push_back(event);
  }
  const auto check = [&](std::string_view key, std::int64_t steps, double pace) -> verdict {
    if (static_cast<double>(steps) * pace <= longest) return {};
    contradiction found{
        {key, paces.empty() ? "workers.heterogeneity" : "workers.seconds_per_step"},
        fmt::format("{} = {} at up to {:.6g} seconds a step is more than the {} seconds that a "
                    "run may take; use fewer or shorter steps",
                    key, steps, pace, longest)};
    if (!c.workers.events.empty()) found.keys.emplace_back("workers.events");
    return found;
  };
  // What ends delays the run by no more than it lasts; a single round must do with the worst.
  if (auto found =
          check("run.local_steps", c.run.local_steps, slowest * greatest_factor(lasting))) {
    return found;
  }
  std::int64_t longest_round = 1;
  for (const auto& stage : parse_stages(c)) {
    longest_round = std::max(longest_round, stage.local_steps);
  }
  return check(c.quota.stages.empty() ? "quota.local_steps" : "quota.stages", longest_round,
               slowest * greatest_factor(slow_downs));
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

verdict check_start(const config& c) {
  if (c.run.init.empty() || c.run.branch.empty()) return {};
  return contradiction{{"run.init", "run.branch"},
                       "run.init and run.branch both say where to start; use one of them"};
}

verdict check_overlap(const config& c) {
  if (!c.network.overlap || !in_use(*find_key("network.overlap"), c)) return {};
  const auto refuse = [](std::string_view key, std::string_view reason) {
    return contradiction{
        {"network.overlap", key},
        fmt::format("network.overlap = true lets workers go on without a reply, {}", reason)};
  };
  if (c.window.policy != "grace" || c.window.grace_seconds > 0.0) {
    return refuse(c.window.policy != "grace" ? "window.policy" : "window.grace_seconds",
                  "so there is nobody for a window to wait for; use window.policy = \"grace\" and "
                  "window.grace_seconds = 0");
  }
  // The base of a round that got no reply in time is a point that the server has never had.
  if (c.outer.optimizer == "mixing") {
    return refuse("outer.optimizer",
                  "but outer.optimizer = \"mixing\" has to know where each round started");
  }
  if (c.staleness.compensation != "none") {
    return refuse("staleness.compensation",
                  "but delay compensation has to know where each round started; use "
                  "staleness.compensation = \"none\"");
  }
  if (c.outer.norm_guard > 0.0) {
    return refuse("outer.norm_guard",
                  "so that outer.norm_guard would refuse an update when its worker has already "
                  "gone on from what made it; use 0");
  }
  return {};
}

verdict check_network(const config& c) {
  const auto& network = c.network;
  if (network.silence_seconds < 2.0 * network.heartbeat_seconds) {
    return contradiction{{"network.silence_seconds", "network.heartbeat_seconds"},
                         fmt::format("network.silence_seconds = {} must be at least twice "
                                     "network.heartbeat_seconds = {}: one sign of life may be late",
                                     network.silence_seconds, network.heartbeat_seconds)};
  }
  const auto given = static_cast<int>(!network.cert.empty()) +
                     static_cast<int>(!network.key.empty()) + static_cast<int>(!network.ca.empty());
  if (given == 0 || given == 3) return {};
  return contradiction{{"network.cert", "network.key", "network.ca"},
                       "network.cert, network.key and network.ca belong together: give all three, "
                       "or none for links without encryption"};
}

verdict check_inner(const config& c) {
  const auto& milestones = c.inner.milestones;
  if (c.inner.schedule == "step") {
    if (std::adjacent_find(milestones.begin(), milestones.end(), std::greater_equal<>()) ==
        milestones.end()) {
      return {};
    }
    return contradiction{{"inner.milestones"},
                         fmt::format("inner.milestones = {} must be in rising order, each once",
                                     to_text(milestones))};
  }
  if (c.inner.final_lr <= c.inner.lr) return {};
  return contradiction{{"inner.final_lr", "inner.lr"},
                       fmt::format("inner.final_lr = {} is above inner.lr = {}; the learning rate "
                                   "can only fall",
                                   c.inner.final_lr, c.inner.lr)};
}

verdict check_outer(const config& c) {
  if (c.outer.optimizer == "slowmo" && c.outer.mode != "sync") {
    return contradiction{{"outer.optimizer", "outer.mode"},
                         "outer.optimizer = \"slowmo\" takes the mean of all workers, so it needs "
                         "outer.mode = \"sync\""};
  }
  if (c.outer.optimizer == "mixing" && c.outer.mode != "async") {
    return contradiction{
        {"outer.optimizer", "outer.mode"},
        "outer.optimizer = \"mixing\" takes updates one at a time, so it needs "
        "outer.mode = \"async\"; with \"sync\" use \"sgd\", what it stands for there"};
  }
  if (c.outer.optimizer == "slowmo" && c.inner.schedule != "step" && c.inner.final_lr == 0.0) {
    return contradiction{{"outer.optimizer", "inner.final_lr"},
                         "outer.optimizer = \"slowmo\" divides by the inner learning rate, so "
                         "inner.final_lr must be above 0"};
  }
  const bool delayed = c.outer.optimizer == "delayed-nesterov";
  if (!delayed && c.outer.optimizer != "lookahead-nesterov") return {};
  if (c.outer.mode == "sync") {
    return contradiction{
        {"outer.optimizer", "outer.mode"},
        fmt::format("outer.optimizer = \"{}\" takes updates one at a time, which outer.mode = "
                    "\"sync\" does not; use \"nesterov\", what it stands for there",
                    c.outer.optimizer)};
  }
  if (!delayed) return {};
  const bool default_buffer = c.outer.buffer == 0;
  const auto n = default_buffer ? c.workers.count : c.outer.buffer;
  const auto limit = 1.0 / static_cast<double>(n);
  if (c.outer.activation <= limit) return {};
  const std::string_view deciding = default_buffer ? "workers.count" : "outer.buffer";
  return contradiction{{"outer.activation", deciding},
                       fmt::format("outer.activation = {} is above 1/N = {} (N = {} = {})",
                                   c.outer.activation, limit, deciding, n)};
}

verdict check_evaluation(const config& c) {
  if (c.evaluate.half == "all" || c.evaluate.batches > 1) return {};
  return contradiction{
      {"evaluate.half", "evaluate.batches"},
      fmt::format("evaluate.half = \"{}\" needs evaluate.batches of at least 2", c.evaluate.half)};
}

verdict check_window(const config& c) {
  if (c.window.policy == "clairvoyant" && c.clock.mode != "virtual") {
    return contradiction{{"window.policy", "clock.mode"},
                         "window.policy = \"clairvoyant\" knows what will arrive, which only "
                         "clock.mode = \"virtual\" can; use \"grace\""};
  }
  if (c.window.quorum <= c.workers.count) return {};
  return contradiction{{"window.quorum", "workers.count"},
                       fmt::format("window.quorum = {} can never be reached with workers.count = "
                                   "{}; it must be at most that",
                                   c.window.quorum, c.workers.count)};
}

}  // namespace

std::optional<contradiction> find_network_contradiction(const config& c) {
  return check_network(c);
}

std::optional<contradiction> find_contradiction(const config& c) {
  for (const auto check : {check_run_name, check_model, check_data, check_mixtures, check_workers,
                           check_devices, check_events, check_stages, check_groups, check_speeds,
                           check_duration, check_links, check_network, check_start, check_overlap,
                           check_inner, check_outer, check_window, check_evaluation}) {
    if (auto found = check(c)) return found;
  }
  return {};
}

}  // namespace rubato
