#include "bench/bare_loop.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "coordination/coordinator.hpp"
#include "model/local_round.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {
namespace {

// How long a measurement must be to foretell how long others are.
constexpr double trial_seconds = 0.3;

}  // namespace

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
  one.workers.device = c.workers.device;
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

bare_loop::bare_loop(config c, std::shared_ptr<const dataset> data, learner_factory make_learner,
                     std::function<void(learner&)> initialize)
    : config_(std::move(c)),
      data_(std::move(data)),
      make_learner_(std::move(make_learner)),
      initialize_(std::move(initialize)),
      layout_(make_learner_()->layout()) {}

std::int64_t bare_loop::whole_rounds(double steps) const {
  return round_steps() *
         std::max(std::llround(std::ceil(steps / static_cast<double>(round_steps()))), 1LL);
}

std::int64_t bare_loop::steps_that_take(double seconds) const {
  for (auto steps = round_steps();; steps *= 4) {
    const auto taken = run(steps).cost.wall_seconds;
    if (taken >= trial_seconds) return whole_rounds(static_cast<double>(steps) * seconds / taken);
  }
}

std::int64_t bare_loop::warm_up(std::int64_t steps) const {
  return whole_rounds(std::max(0.1 * static_cast<double>(steps), 2.0 * round_steps()));
}

config bare_loop::with_budget(std::int64_t steps) const {
  auto c = config_;
  c.run.local_steps = warm_up(steps) + steps;
  c.evaluate.every_local_steps = c.run.local_steps;
  c.journal.enabled = false;  // a bare loop has none
  return c;
}

bare_loop::outcome bare_loop::run(std::int64_t steps, std::size_t lane,
                                  const std::function<void()>& ready) const {
  const auto c = with_budget(steps);
  auto model = make_learner_(lane);
  initialize_(*model);
  const auto theta = std::make_shared<parameter_buffer>(layout_.size());
  const auto initial = model->parameters();
  std::copy(initial.begin(), initial.end(), theta->data());
  local_round round(c, std::move(model), std::make_shared<buffer_pool>(layout_.size()));
  const auto inner = std::make_shared<inner_state>();

  const auto rounds = plan_rounds(c);
  std::int64_t done = 0;
  resource_reading begin;
  for (const auto& work : rounds) {
    if (done == warm_up(steps)) {
      if (ready) ready();
      begin = resource_reading::now();
    }
    round.begin(work, theta, inner);
    for (std::uint64_t i = 0; i < work.steps; ++i) {
      round.step(data_->training_batch(work.shard, work.data_position + i));
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

/// The rounds that a run of this config consists of.
std::vector<assignment> bare_loop::plan_rounds(const config& c) const {
  coordinator::setting facts;
  facts.shard_weights = shard_weights(c, *data_);
  facts.elements = layout_.count(section::trainable) + layout_.count(section::averaged);
  facts.update_bytes = facts.elements * sizeof(float);
  facts.tokens_per_step = tokens_per_step();
  coordinator decisions(c, facts);

  std::vector<assignment> rounds;
  run_time now{0};
  decisions.worker_joined(now, 0);
  while (!decisions.finished()) {
    for (const auto& action : decisions.tick(now)) {
      if (const auto* assign = std::get_if<assign_action>(&action)) rounds.push_back(assign->work);
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

}  // namespace rubato
