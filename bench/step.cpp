#include "bench/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "bench/bare_loop.hpp"
#include "bench/measurement.hpp"
#include "bench/peer_process.hpp"
#include "bench/random_tokens.hpp"
#include "config/error.hpp"
#include "monitoring/human.hpp"

namespace rubato {
namespace {

// How long a measurement takes if nobody says how many steps it has.
constexpr double wanted_seconds = 3.0;

/// What a run of the config is made of, all of it filled in.
run_parts complete(const config& c, run_parts parts) {
  if (!parts.data) parts.data = make_dataset(c);
  if (!parts.make_learner) parts.make_learner = make_learner_factory(c, *parts.data);
  if (!parts.initialize)
    parts.initialize = [c](learner& model) { initialize_parameters(c, model); };
  return parts;
}

/// Both sides, on the same data and from the same parameters.
class contest {
 public:
  struct outcome : bare_loop::outcome {
    run_plan plan = {};
  };

  contest(const config& c, run_parts parts)
      : config_(one_worker(c)),
        parts_(complete(config_, std::move(parts))),
        loop_(config_, parts_.data, parts_.make_learner, parts_.initialize) {}

  const bare_loop& loop() const { return loop_; }
  std::string peer_arguments(std::int64_t steps) const {
    return fmt::format("{} {}", transformer_arguments(config_, parts_.data->shape()), steps);
  }

  /// `steps` steps after a warm-up, without actors.
  bare_loop::outcome bare(std::int64_t steps) const { return loop_.run(steps); }

  /// The same in a run.
  outcome in_runtime(std::int64_t steps) const {
    const scratch_folder folder;
    auto c = loop_.with_budget(steps);
    c.run.directory = folder.path();
    const auto watch = std::make_shared<stopwatch>(loop_.warm_up(steps), c.run.local_steps);
    auto parts = parts_;
    parts.observer = watch;
    const auto summary = run_training(c, parts);
    if (!watch->cost()) {
      throw run_error(fmt::format(
          "bench step: {} steps are too few: the run ended before its first evaluation; use more",
          steps));
    }
    return {{*watch->cost(), summary.params_sha256}, watch->plan()};
  }

 private:
  config config_;
  run_parts parts_;
  bare_loop loop_;
};

// -- statistics ---------------------------------------------------------------------------------

/// What `measure` makes of each cost.
template <class Measure>
spread spread_of(const std::vector<step_cost>& costs, Measure measure) {
  std::vector<double> values;
  for (const auto& cost : costs) values.push_back(measure(cost));
  return spread(std::move(values));
}

spread cpu_time(const std::vector<step_cost>& costs) {
  return spread_of(costs, [](const step_cost& c) { return c.cpu_microseconds_per_token(); });
}

spread rate(const std::vector<step_cost>& costs) {
  return spread_of(costs, [](const step_cost& c) { return c.tokens_per_second(); });
}

/// Of CPU time per token.
paired_times pairs_of(const step_report& report) {
  return {cpu_time(report.runtime).values, cpu_time(report.bare).values};
}

}  // namespace

double step_report::ratio_of_medians() const {
  return pairs_of(*this).ratio_of_medians();
}

double step_report::median_of_ratios() const {
  return pairs_of(*this).median_of_ratios();
}

step_report measure_step(const config& c, const step_options& options,
                         const std::function<void(std::string_view)>& told, run_parts parts) {
  if (c.workers.device != config{}.workers.device) {
    throw usage_error(fmt::format(
        "bench step: compares CPU times and results bit for bit, so workers.device = {} is not for "
        "it; with --bare it measures how fast steps are",
        fmt::join(c.workers.device, ", ")));
  }
  if (options.vocabulary > 0) {
    parts.data = std::make_shared<random_tokens>(c, options.vocabulary);
  }
  const contest sides(c, std::move(parts));
  step_report report;
  report.cpu = cpu_model();
  report.cores = std::thread::hardware_concurrency();
  const auto& loop = sides.loop();
  report.tokens_per_step = loop.tokens_per_step();
  report.round_steps = loop.round_steps();
  report.steps = options.steps > 0 ? loop.whole_rounds(static_cast<double>(options.steps))
                                   : loop.steps_that_take(wanted_seconds);

  // The warm-up says what everything after it must end with.
  const auto first = sides.in_runtime(report.steps);
  report.plan = first.plan;
  report.params_sha256 = first.params_sha256;
  const auto check = [&](const bare_loop::outcome& outcome) {
    if (outcome.params_sha256 != report.params_sha256) {
      throw run_error(
          "bench step: the run and the bare loop ended with different parameters, so their times "
          "say nothing about each other; if training diverges, lower inner.lr");
    }
    return outcome.cost;
  };
  check(sides.bare(report.steps));

  for (std::int64_t i = 0; i < options.repeats; ++i) {
    // A B B A ...: whoever comes second in a pair comes first in the next.
    if (i % 2 == 0) report.bare.push_back(check(sides.bare(report.steps)));
    report.runtime.push_back(check(sides.in_runtime(report.steps)));
    if (i % 2 == 1) report.bare.push_back(check(sides.bare(report.steps)));
    told(fmt::format(
        "{} of {}: {} CPU microseconds a {} in a bare loop, {} in the runtime", i + 1,
        options.repeats, human_number(report.bare.back().cpu_microseconds_per_token(), 3),
        report.plan.unit, human_number(report.runtime.back().cpu_microseconds_per_token(), 3)));
  }
  if (!options.peer.empty()) {
    peer_process peer(fmt::format("exec {} {}", options.peer, sides.peer_arguments(report.steps)));
    peer.measure();  // its warm-up
    report.peer = measure_in_turn(
        options.repeats, [&] { return check(sides.bare(report.steps)).wall_seconds; },
        [&] { return peer.measure(); }, told);
  }
  return report;
}

// -- output -------------------------------------------------------------------------------------

std::string to_text(const step_report& report) {
  const auto& plan = report.plan;
  std::string text = "What the runtime costs one worker\n\n";
  const auto fact = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<14}  {}\n", name, value);
  };
  fact("machine", fmt::format("{}, {} cores", report.cpu, report.cores));
  fact("BLAS", plan.blas);
  if (!plan.precision.empty()) fact("precision", plan.precision);
  fact("model", fmt::format("{} parameters, {} {}s a step",
                            human_count(static_cast<double>(plan.parameters)),
                            report.tokens_per_step, plan.unit));
  fact("measured", fmt::format("{} times each, in turn: {} local steps in rounds of {}",
                               report.bare.size(), report.steps, report.round_steps));
  fact("result",
       fmt::format("the same after all of them, SHA-256 {:.16}...", report.params_sha256));
  text += fmt::format("\n                  {:>22}    {:>22}\n", "CPU microseconds/" + plan.unit,
                      plan.unit + "s/s of real time");
  text += "                      median         MAD        median         MAD\n";
  const auto row = [&text](std::string_view name, const std::vector<step_cost>& costs) {
    const auto cpu = cpu_time(costs);
    const auto speed = rate(costs);
    text += fmt::format("  {:<14}  {:>10}  {:>10}    {:>10}  {:>10}\n", name,
                        human_number(cpu.middle, 3), human_number(cpu.deviation, 3),
                        human_count(speed.middle), human_count(speed.deviation));
  };
  row("bare loop", report.bare);
  row("in the runtime", report.runtime);
  text += "  (MAD: median absolute deviation from the median)\n";
  text +=
      fmt::format("\n  {:<14}  {:.4f} times the CPU time (median of the pairs' ratios: {:.4f})\n",
                  "the runtime", report.ratio_of_medians(), report.median_of_ratios());
  if (report.peer) {
    const auto peer_rate = [&](const std::vector<double>& seconds) {
      return human_count(static_cast<double>(report.steps * report.tokens_per_step) /
                         median(seconds));
    };
    text += fmt::format(
        "  {:<14}  {} {}s/s, the peer {}: {:.3f} times as fast (median of the pairs' ratios)\n",
        "beside a peer", peer_rate(report.peer->own), plan.unit, peer_rate(report.peer->reference),
        1.0 / report.peer->median_of_ratios());
  }
  return text;
}

std::string to_json(const step_report& report) {
  using json = nlohmann::ordered_json;
  const auto as_json = [](const spread& s) -> json {
    return {{"median", s.middle}, {"mad", s.deviation}, {"values", s.values}};
  };
  const auto side = [&](const std::vector<step_cost>& costs) -> json {
    return {{"cpu_microseconds_per_token", as_json(cpu_time(costs))},
            {"tokens_per_second", as_json(rate(costs))}};
  };
  json value = {
      {"machine", {{"cpu", report.cpu}, {"cores", report.cores}, {"blas", report.plan.blas}}},
      {"precision", report.plan.precision},
      {"parameters", report.plan.parameters},
      {"unit", report.plan.unit},
      {"tokens_per_step", report.tokens_per_step},
      {"steps", report.steps},
      {"round_steps", report.round_steps},
      {"repeats", report.bare.size()},
      {"bare", side(report.bare)},
      {"runtime", side(report.runtime)},
      {"ratio_of_medians", report.ratio_of_medians()},
      {"median_of_ratios", report.median_of_ratios()},
      {"params_sha256", report.params_sha256}};
  if (report.peer) {
    value["bare_beside_peer_seconds"] = report.peer->own;
    value["peer_seconds"] = report.peer->reference;
  }
  return value.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace rubato
