#include "bench/scale.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "actors/interfaces.hpp"
#include "actors/run_setup.hpp"
#include "bench/child_process.hpp"
#include "bench/train_process.hpp"
#include "config/error.hpp"
#include "monitoring/human.hpp"

namespace rubato {
namespace {

using namespace std::chrono_literals;
using words = std::vector<std::string>;

// What must be read or written of parameters then fits in a cache line.
constexpr std::int64_t next_to_nothing = 16;

words operator+(words left, const words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

std::string text(std::int64_t value) {
  return std::to_string(value);
}

std::int64_t lane_threads() {
  return std::max(1U, std::thread::hardware_concurrency());
}

// -- runs ---------------------------------------------------------------------------------------

struct outcome {
  double updates_per_second;
  double memory;  // bytes, at most
  std::int64_t parameters;
};

const words null_model{"--model.kind",     "null", "--data.kind",       "gaussian-mixtures",
                       "--data.dimension", "1",    "--data.batch_size", "1",
                       "--data.points",    "4096", "--data.shards",     "1"};

// About ten thousand parameters.
const words small_network{
    "--model.kind",     "mlp", "--model.width",     "128", "--data.kind",   "gaussian-mixtures",
    "--data.dimension", "74",  "--data.batch_size", "8",   "--data.points", "8192",
    "--data.shards",    "1"};

outcome run_with(std::int64_t workers, std::int64_t updates, const words& model) {
  const auto run = train_in_process(words{"--run.local_steps", text(updates), "--run.threads",
                                          text(lane_threads()), "--workers.count", text(workers)} +
                                    model);
  return {static_cast<double>(updates) / run.summary.at("wall_seconds").get<double>(),
          static_cast<double>(run.peak_memory), run.summary.at("parameters")};
}

words null_model_of(std::int64_t parameters) {
  return null_model + words{"--model.parameters", text(parameters)};
}

/// Steps a second of the small network in a loop without actors: of one, and of so many at once.
std::pair<double, double> bare_steps_per_second(std::int64_t steps, std::int64_t lanes) {
  const scratch_folder folder;
  const auto file = folder.path() + "/bench.toml";
  std::ofstream(file) << "# All is said on the command line.\n";
  child_process run(words{this_program(), "bench", "step", file, "--bare", "--json", "--repeats",
                          "1", "--steps", text(steps), "--lanes", text(lanes),
                          "--quota.local_steps", "1"} +
                    small_network);
  const auto report = nlohmann::json::parse(run.finish());
  const auto tokens = report.at("tokens_per_step").get<double>();
  const auto one = report.at("tokens_per_second").get<double>() / tokens;
  if (lanes == 1) return {one, one};
  return {one, report.at("tokens_per_second_together").get<double>() / tokens};
}

// -- CAF's messages alone -----------------------------------------------------------------------

using echo_actor = actor_interface<takes<hand_in>>;

struct echo_state {
  echo_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "echo";

  std::vector<echo_actor> others;
  std::uint64_t left = 0;
  std::shared_ptr<std::promise<void>> done;
};

/// Sends back what it gets.
echo_actor::behavior_type wall(actor_pointer<echo_actor, echo_state> self, const echo_actor& to) {
  return {[self, to](const hand_in& ball) { send(self, to, ball); }};
}

/// Plays with many walls at once, until all balls have come back so many times together.
echo_actor::behavior_type player(actor_pointer<echo_actor, echo_state> self, std::uint64_t walls,
                                 std::uint64_t round_trips,
                                 std::shared_ptr<std::promise<void>> done) {
  auto& state = state_of(self);
  state.left = round_trips;
  state.done = std::move(done);
  for (std::uint32_t i = 0; i < walls; ++i) {
    state.others.push_back(self->spawn<caf::linked>(wall, echo_actor(self)));
    send(self, state.others.back(), hand_in{{i, 0, 0}});
  }
  return {[self](const hand_in& ball) {
    auto& s = state_of(self);
    if (s.left == 0) return;
    if (--s.left > 0) return send(self, s.others[ball.round.worker], ball);
    s.done->set_value();
    self->quit();
  }};
}

/// A second, on threads as a run has them.
double round_trips_per_second(std::int64_t actors, std::int64_t count) {
  initialize_messages();
  caf::actor_system_config config;
  configure(config, scheduler_threads(false));
  caf::actor_system system(config);
  const auto done = std::make_shared<std::promise<void>>();
  const auto begin = std::chrono::steady_clock::now();
  system.spawn<caf::detached>(player, static_cast<std::uint64_t>(actors),
                              static_cast<std::uint64_t>(count), done);
  done->get_future().wait();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(count) / taken.count();
}

}  // namespace

double scale_bench_report::side::growth() const {
  return paired_times{few, many}.median_of_ratios();  // of rates, so the other way round
}

scale_bench_report measure_scale(const scale_bench_options& options,
                                 const std::function<void(std::string_view)>& told) {
  const auto& o = options;
  if (o.few >= o.workers) {
    throw usage_error(fmt::format("--few {} must be less than --workers {}", o.few, o.workers));
  }
  scale_bench_report report;
  report.options = o;
  report.lanes = lane_threads();
  std::vector<double> memory;
  const auto measure = [&](scale_bench_report::side& side, std::int64_t parameters) {
    const auto many = run_with(o.workers, o.updates, null_model_of(parameters));
    const auto few = run_with(o.few, o.updates, null_model_of(parameters));
    side.many.push_back(many.updates_per_second);
    side.few.push_back(few.updates_per_second);
    return (many.memory - few.memory) / static_cast<double>(o.workers - o.few);
  };
  for (std::int64_t i = 0; i < o.repeats; ++i) {
    report.round_trips.push_back(round_trips_per_second(o.workers, o.updates));
    memory.push_back(measure(report.merging, o.parameters));
    measure(report.events, next_to_nothing);
    // A step here takes longer; still enough of them that how LibTorch starts does not count.
    const auto steps = std::max<std::int64_t>(o.updates / 2, 1);
    const auto network = run_with(8 * report.lanes, steps, small_network);
    report.network.parameters = network.parameters;
    report.network.updates.push_back(network.updates_per_second);
    const auto [one, together] = bare_steps_per_second(steps / 4 + 1, report.lanes);
    report.network.steps.push_back(one);
    report.network.steps_together.push_back(together);
    told(fmt::format("{} of {}: {:.0f} updates a second", i + 1, o.repeats,
                     report.merging.many.back()));
  }
  report.memory_per_worker = median(memory);
  return report;
}

// -- output -------------------------------------------------------------------------------------

std::string to_text(const scale_bench_report& report) {
  const auto& o = report.options;
  std::string text = fmt::format(
      "What thousands of workers cost in one process\n\n"
      "  virtual clock, a step is an update, no journal; {} updates a run, {} lane{};\n"
      "  measured {} times each, in turn; medians\n\n",
      o.updates, report.lanes, report.lanes == 1 ? "" : "s", report.round_trips.size());
  const auto row = [&text](const std::string& name, const std::string& value) {
    text += fmt::format("  {:<58}  {:>10}\n", name, value);
  };
  const auto rate = [](const std::vector<double>& values) {
    return fmt::format("{:.0f}/s", median(values));
  };
  row(fmt::format("updates, {} workers, {} parameters", o.workers, o.parameters),
      rate(report.merging.many));
  row(fmt::format("CAF alone: round trips, {} actors and one", o.workers),
      rate(report.round_trips));
  row("an update in round trips",
      fmt::format("{:.1f}", median(report.round_trips) / median(report.merging.many)));
  row(fmt::format("time of an update, {} workers over {}", o.workers, o.few),
      fmt::format("{:.2f}", report.merging.growth()));
  row(fmt::format("the same with {} parameters: the path of events alone", next_to_nothing),
      fmt::format("{:.2f}", report.events.growth()));
  row("memory of a worker more",
      human_bytes(static_cast<std::uint64_t>(std::max(0.0, report.memory_per_worker))));
  row(fmt::format("updates, {} workers, network of {} parameters, H = 1", 8 * report.lanes,
                  report.network.parameters),
      rate(report.network.updates));
  const auto over = [&](const std::vector<double>& steps) {
    return paired_times{report.network.updates, steps}.median_of_ratios();
  };
  row("the same over lanes times the steps of a bare loop",
      fmt::format("{:.2f}", over(report.network.steps) / static_cast<double>(report.lanes)));
  row("the same over the steps of as many bare loops at once",
      fmt::format("{:.2f}", over(report.network.steps_together)));
  return text;
}

std::string to_json(const scale_bench_report& report) {
  const auto& o = report.options;
  const auto side = [](const scale_bench_report::side& s) -> nlohmann::ordered_json {
    return {{"many_updates_per_second", s.many},
            {"few_updates_per_second", s.few},
            {"growth", s.growth()}};
  };
  const nlohmann::ordered_json value = {
      {"workers", o.workers},
      {"few", o.few},
      {"parameters", o.parameters},
      {"updates", o.updates},
      {"lanes", report.lanes},
      {"merging", side(report.merging)},
      {"events", side(report.events)},
      {"round_trips_per_second", report.round_trips},
      {"memory_per_worker_bytes", report.memory_per_worker},
      {"network",
       {{"parameters", report.network.parameters},
        {"updates_per_second", report.network.updates},
        {"bare_steps_per_second", report.network.steps},
        {"bare_steps_together_per_second", report.network.steps_together}}}};
  return value.dump(2) + '\n';
}

}  // namespace rubato
