#include "bench/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

#include "bench/measurement.hpp"
#include "bench/peer_process.hpp"
#include "bench/random_tokens.hpp"
#include "config/error.hpp"
#include "coordination/coordinator.hpp"
#include "model/local_round.hpp"
#include "monitoring/human.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

// How long a measurement takes if nobody says how many steps it has, and how long one must be to
// foretell that.
constexpr double wanted_seconds = 3.0;
constexpr double trial_seconds = 0.3;

/// One worker that trains as `c` says, alone and undisturbed, whatever the method of `c`.
config one_worker(const config& c) {
  config one;
  one.run.name = "bench";
  one.run.seed = c.run.seed;
  one.run.threads = 1;
  one.clock = c.clock;
  one.model = c.model;
  one.data = c.data;
  one.workers.count = 1;
  one.workers.heterogeneity = "none";
  one.workers.threads_per_lane = c.workers.threads_per_lane;
  one.inner = c.inner;
  one.inner.state = "keep";
  one.outer.optimizer = "sgd";
  one.outer.lr = 1.0;
  one.quota.policy = "fixed";
  one.quota.local_steps = c.quota.local_steps;
  one.evaluate.batches = 1;
  one.evaluate.baselines = false;
  return one;
}

/// Both sides, on the same data and from the same parameters.
class contest {
 public:
  struct outcome {
    step_cost cost;
    std::string params_sha256;
    run_plan plan = {};  // of the run, if it is one
  };

  contest(const config& c, run_parts parts) : config_(one_worker(c)), parts_(std::move(parts)) {
    if (!parts_.data) parts_.data = make_dataset(config_);
    if (!parts_.make_learner) {
      parts_.make_learner = make_learner_factory(config_, *parts_.data);
    }
    if (!parts_.initialize) {
      parts_.initialize = [c = config_](learner& model) { initialize_parameters(c, model); };
    }
    layout_ = parts_.make_learner()->layout();
  }

  std::int64_t tokens_per_step() const { return parts_.data->tokens_per_batch(); }
  std::string peer_arguments(std::int64_t steps) const {
    return fmt::format("{} {}", transformer_arguments(config_, parts_.data->shape()), steps);
  }
  std::int64_t round_steps() const { return config_.quota.local_steps; }
  std::int64_t whole_rounds(double steps) const {
    return round_steps() *
           std::max(std::llround(std::ceil(steps / static_cast<double>(round_steps()))), 1LL);
  }

  /// `steps` steps after a warm-up, without actors.
  outcome bare(std::int64_t steps) const {
    const auto c = with_budget(steps);
    auto model = parts_.make_learner();
    parts_.initialize(*model);
    const auto theta = std::make_shared<parameter_buffer>(layout_.size());
    std::copy(model->parameters().begin(), model->parameters().end(), theta->data());
    local_round round(c, std::move(model), std::make_shared<buffer_pool>(layout_.size()));
    const auto inner = std::make_shared<inner_state>();

    const auto rounds = plan_rounds(c);
    std::int64_t done = 0;
    resource_reading begin;
    for (const auto& work : rounds) {
      if (done == warm_up(steps)) begin = resource_reading::now();
      round.begin(work, theta, inner);
      for (std::uint64_t i = 0; i < work.steps; ++i) {
        round.step(parts_.data->training_batch(work.shard, work.data_position + i));
      }
      const auto delta = round.finish().delta;
      std::transform(theta->data(), theta->data() + theta->size(), delta->data(), theta->data(),
                     [](float from, float by) { return from - by; });
      done += work.steps;
    }
    const auto end = resource_reading::now();
    return {cost_between(begin, end, steps * tokens_per_step()),
            parameters_sha256(layout_, theta->span())};
  }

  /// The same in a run.
  outcome in_runtime(std::int64_t steps) const {
    const scratch_folder folder;
    auto c = with_budget(steps);
    c.run.directory = folder.path();
    const auto watch = std::make_shared<stopwatch>(warm_up(steps), c.run.local_steps);
    auto parts = parts_;
    parts.observer = watch;
    const auto summary = run_training(c, parts);
    if (!watch->cost()) {
      throw run_error(fmt::format(
          "bench step: {} steps are too few: the run ended before its first evaluation; use more",
          steps));
    }
    return {*watch->cost(), summary.params_sha256, watch->plan()};
  }

 private:
  std::int64_t warm_up(std::int64_t steps) const {
    return whole_rounds(std::max(0.1 * static_cast<double>(steps), 2.0 * round_steps()));
  }

  config with_budget(std::int64_t steps) const {
    auto c = config_;
    c.run.local_steps = warm_up(steps) + steps;
    c.evaluate.every_local_steps = c.run.local_steps;
    c.journal.enabled = false;  // a bare loop has none
    return c;
  }

  /// The rounds that a run of this config consists of.
  std::vector<assignment> plan_rounds(const config& c) const {
    coordinator::setting facts;
    facts.shard_weights = shard_weights(c, *parts_.data);
    facts.elements = layout_.count(section::trainable) + layout_.count(section::averaged);
    facts.update_bytes = facts.elements * sizeof(float);
    facts.tokens_per_step = tokens_per_step();
    coordinator decisions(c, facts);

    std::vector<assignment> rounds;
    run_time now{0};
    decisions.worker_joined(now, 0);
    while (!decisions.finished()) {
      for (const auto& action : decisions.tick(now)) {
        if (const auto* assign = std::get_if<assign_action>(&action))
          rounds.push_back(assign->work);
      }
      const auto& work = rounds.back();
      now = work.due();
      arrival update;
      update.id = work.id;
      update.base_version = work.base_version;
      update.elements = facts.elements;
      update.norm = 1.0;
      update.compute_time = work.timing.compute;
      decisions.update_arrived(now, update);
    }
    return rounds;
  }

  config config_;
  run_parts parts_;
  parameter_layout layout_;
};

std::int64_t steps_that_take(double seconds, const contest& sides) {
  for (auto steps = sides.round_steps();; steps *= 4) {
    const auto taken = sides.bare(steps).cost.wall_seconds;
    if (taken >= trial_seconds) {
      return sides.whole_rounds(static_cast<double>(steps) * seconds / taken);
    }
  }
}

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
  if (options.vocabulary > 0) {
    parts.data = std::make_shared<random_tokens>(c, options.vocabulary);
  }
  const contest sides(c, std::move(parts));
  step_report report;
  report.cpu = cpu_model();
  report.cores = std::thread::hardware_concurrency();
  report.tokens_per_step = sides.tokens_per_step();
  report.round_steps = sides.round_steps();
  report.steps = options.steps > 0 ? sides.whole_rounds(static_cast<double>(options.steps))
                                   : steps_that_take(wanted_seconds, sides);

  // The warm-up says what everything after it must end with.
  const auto first = sides.in_runtime(report.steps);
  report.plan = first.plan;
  report.params_sha256 = first.params_sha256;
  const auto check = [&](const contest::outcome& outcome) {
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
