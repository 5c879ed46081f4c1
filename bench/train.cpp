#include "bench/train.hpp"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "actors/run.hpp"
#include "bench/peer_process.hpp"
#include "bench/random_tokens.hpp"
#include "bench/stopwatch.hpp"
#include "config/error.hpp"
#include "monitoring/human.hpp"

namespace rubato {
namespace {

/// DiLoCo with equal workers, whatever the method of `c`.
config diloco(const config& c, std::int64_t rounds) {
  config d;
  d.run.name = "bench";
  d.run.seed = c.run.seed;
  d.run.threads = c.workers.count * c.workers.threads_per_lane;
  d.run.local_steps = c.workers.count * c.quota.local_steps * (1 + rounds);
  d.clock.mode = "wall";
  d.model = c.model;
  d.data = c.data;
  d.workers.count = c.workers.count;
  d.workers.heterogeneity = "none";
  d.workers.threads_per_lane = c.workers.threads_per_lane;
  d.workers.device = c.workers.device;
  d.inner = c.inner;
  d.outer.mode = "sync";
  d.outer.optimizer = "nesterov";
  d.outer.lr = 0.7;
  d.outer.momentum = 0.9;
  d.quota.policy = "fixed";
  d.quota.local_steps = c.quota.local_steps;
  d.evaluate.batches = 1;
  d.evaluate.baselines = false;
  d.evaluate.every_local_steps = d.run.local_steps;
  d.checkpoint.every_versions = 0;
  d.journal.enabled = false;
  return d;
}

}  // namespace

train_bench_report measure_train(const config& c, const train_bench_options& options,
                                 const std::function<void(std::string_view)>& told) {
  const auto d = diloco(c, options.rounds);
  run_parts parts;
  parts.data = std::make_shared<random_tokens>(d, options.vocabulary);
  parts.make_learner = make_learner_factory(d, parts.data->shape());

  train_bench_report report;
  report.peer = options.peer;
  report.local_steps = d.quota.local_steps;
  report.rounds = options.rounds;
  const auto steps = d.workers.count * d.quota.local_steps * options.rounds;
  report.tokens = steps * parts.data->tokens_per_batch();

  const auto train = [&] {
    const scratch_folder folder;
    auto own = d;
    own.run.directory = folder.path();
    const auto watch = std::make_shared<stopwatch>(d.run.local_steps - steps, d.run.local_steps);
    parts.observer = watch;
    run_training(own, parts);
    report.plan = watch->plan();
    if (!watch->cost()) {
      throw run_error("bench train: the run ended before its first evaluation; use more --rounds");
    }
    return static_cast<double>(report.tokens) / watch->cost()->tokens_per_second();
  };
  peer_process peer(fmt::format("exec {} {} {} {} {}", options.peer,
                                transformer_arguments(d, parts.data->shape()), report.local_steps,
                                d.workers.count, options.rounds));
  peer.measure();  // its warm-up
  train();
  report.times = measure_in_turn(
      options.repeats, train, [&] { return peer.measure(); }, told);
  return report;
}

std::string to_text(const train_bench_report& report) {
  const auto& plan = report.plan;
  const spread own(report.times.own), peer(report.times.reference);
  std::string text = fmt::format(
      "How long training takes\n\n"
      "  {} workers, {} rounds of {} local steps; {} parameters, {} tokens\n"
      "  {}; {}; measured {} times each, in turn; medians\n\n",
      plan.workers.size(), report.rounds, report.local_steps,
      human_count(static_cast<double>(plan.parameters)),
      human_count(static_cast<double>(report.tokens)), plan.blas, plan.precision,
      own.values.size());
  const auto row = [&](const std::string& name, const spread& s) {
    text += fmt::format("  {:<40}  {:>7.2f} s  MAD {:.2f}  {:>6} tokens/s\n", name, s.middle,
                        s.deviation, human_count(static_cast<double>(report.tokens) / s.middle));
  };
  row("rubato, synchronous, Nesterov momentum", own);
  row(report.peer, peer);
  text += fmt::format("\n  the peer takes {:.2f} times as long (median of the pairs)\n",
                      1.0 / report.times.median_of_ratios());
  return text;
}

std::string to_json(const train_bench_report& report) {
  const nlohmann::ordered_json value = {{"workers", report.plan.workers.size()},
                                        {"rounds", report.rounds},
                                        {"local_steps", report.local_steps},
                                        {"parameters", report.plan.parameters},
                                        {"precision", report.plan.precision},
                                        {"blas", report.plan.blas},
                                        {"tokens", report.tokens},
                                        {"peer", report.peer},
                                        {"seconds", report.times.own},
                                        {"peer_seconds", report.times.reference},
                                        {"times_as_long", 1.0 / report.times.median_of_ratios()}};
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace rubato
