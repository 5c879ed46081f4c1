#include "actors/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "actors/context.hpp"
#include "actors/data_loader.hpp"
#include "actors/node.hpp"
#include "actors/parameter_file.hpp"
#include "actors/server.hpp"
#include "config/error.hpp"
#include "config/load.hpp"
#include "coordination/state_json.hpp"
#include "coordination/tempo.hpp"
#include "model/blas.hpp"
#include "model/precision.hpp"
#include "recovery/branch.hpp"
#include "recovery/resume.hpp"
#include "storage/run_lock.hpp"
#include "transfer/buffer_coding.hpp"

namespace rubato {
namespace {

using namespace std::chrono_literals;

// The thread budget: lanes for the workers' steps; for actors that only pass messages on, CAF's
// scheduler; and one thread for each actor that is detached because it computes or waits.
constexpr std::size_t scheduler_threads = 2;
constexpr std::int64_t detached_actors = 4;  // server, evaluator, recorder, data loader

std::int64_t lane_count(const config& c) {
  const auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  const auto wanted = c.run.threads > 0
                          ? c.run.threads
                          : std::max<std::int64_t>(1, cores / c.workers.threads_per_lane);
  // One lane for each worker is all that can be used.
  return std::min(wanted, c.workers.count);
}

void check_halves(const config& c, const dataset& data) {
  if (c.evaluate.half == "all") return;
  for (std::size_t i = 0; i < data.shards(); ++i) {
    if (data.held_out(i).size() >= 2) continue;
    throw usage_error(fmt::format(
        "evaluate.half = \"{}\": the held-out data of shard \"{}\" is one batch and has "
        "no halves; hold out more (data.held_out) or use smaller batches",
        c.evaluate.half, data.info(i).name));
  }
}

std::shared_ptr<run_context> make_context(const config& c, run_parts& parts, bool resumed) {
  auto run = std::make_shared<run_context>();
  run->settings = c;
  run->data = parts.data ? parts.data : std::shared_ptr<const dataset>(make_dataset(c));
  check_halves(c, *run->data);
  run->shard_weights = shard_weights(c, *run->data);
  run->make_learner =
      parts.make_learner ? parts.make_learner : make_learner_factory(c, run->data->shape());
  const auto model = run->make_learner();
  run->layout = model->layout();
  run->deltas = std::make_shared<buffer_pool>(run->layout.size());
  run->encodings = std::make_shared<buffer_pool>(encoded_floats(run->codec_up(), run->layout));
  if (resumed) return run;
  auto initial = std::make_shared<parameter_buffer>(run->layout.size());
  if (!parts.initialize && !c.run.init.empty()) {
    load_parameters(c.run.init, run->layout, *initial);
  } else {
    if (parts.initialize) {
      parts.initialize(*model);
    } else {
      initialize_parameters(c, *model);
    }
    const auto values = model->parameters();
    std::copy(values.begin(), values.end(), initial->data());
  }
  run->initial = std::move(initial);
  return run;
}

/// What is learned from, in one word.
std::string unit_of(const data_shape& shape) {
  if (shape.height > 0) return "image";
  return shape.features > 0 ? "point" : "token";
}

std::string describe_method(const config& c) {
  return fmt::format("{} {}, quota {}", c.outer.mode, c.outer.optimizer, c.quota.policy);
}

run_plan make_plan(const run_context& run, const std::string& directory, std::int64_t lanes) {
  const auto& c = run.settings;
  run_plan plan;
  plan.name = c.run.name;
  plan.directory = directory;
  plan.method = describe_method(c);
  plan.clock = c.clock.mode;
  plan.paced = c.paced();
  plan.parameters = static_cast<std::int64_t>(run.layout.count(section::trainable));
  plan.local_steps = c.run.local_steps;
  plan.threads = lanes;
  plan.threads_per_lane = c.workers.threads_per_lane;
  plan.other_threads =
      static_cast<std::int64_t>(scheduler_threads + loader_threads(run)) + detached_actors;
  plan.blas = describe_blas();
  plan.precision = to_string(resolve_precision(c));
  plan.unit = unit_of(run.data->shape());
  plan.evaluated_on = c.evaluate.on;
  plan.events = c.workers.events;
  for (const double pace : seconds_per_step(c.workers)) {
    plan.workers.push_back({plan.paced ? pace : 0.0, 0});
  }
  for (std::size_t i = 0; i < run.data->shards(); ++i) {
    const auto info = run.data->info(i);
    plan.shards.push_back(
        {info.name, info.training_size, info.held_out_size, info.files, info.duplicates});
  }
  plan.data_notes = run.data->notes();
  if (c.evaluate.baselines) {
    for (const auto& b : run.data->baselines()) plan.baselines.push_back({b.name, b.bits_per_byte});
  }
  return plan;
}

/// The first reason why the server or the node is gone, told from whatever thread.
class ending {
 public:
  void set(const caf::error& reason) {
    const std::lock_guard lock(mutex_);
    if (!reason_) reason_ = reason;
    changed_.notify_all();
  }
  bool wait_for(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [this] { return reason_.has_value(); });
  }
  caf::error reason() const { return *reason_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<caf::error> reason_;
};

}  // namespace

run_summary run_training(const config& c, run_parts parts) {
  const bool goes_on =
      c.run.resume == "auto" && state_of_run(c.run.directory) == run_state::unfinished;
  const auto directory = std::make_shared<const run_directory>(
      goes_on ? run_directory::of_existing_run(c.run.directory)
              : run_directory(c.run.directory, c.run.name));
  const run_lock lock(directory->path());
  std::shared_ptr<restored_run> restored;
  if (goes_on) check_settings(load_config(directory->file("config.toml")), c);
  if (!goes_on && !c.run.branch.empty()) {
    begin_branch(posix_file_system(), c, *directory, new_run_identity());
  }
  if (goes_on || !c.run.branch.empty()) {
    restored = restore_run(posix_file_system(), directory->path());
  }
  const auto run = make_context(c, parts, restored != nullptr);
  directory->write("config.toml", to_toml(c));

  const std::int64_t lanes = lane_count(c);
  server_setup setup;
  setup.run = run;
  setup.observer = parts.observer;
  setup.directory = directory;
  setup.identity = restored ? restored->header.run : new_run_identity();
  setup.restored = restored;
  setup.result = std::make_shared<run_result>();
  setup.plan = make_plan(*run, directory->path(), lanes);
  const auto result = setup.result;

  initialize_messages();
  caf::actor_system_config system_config;
  configure(system_config, scheduler_threads);
  caf::actor_system system(system_config);
  run->clock =
      wall_clock(restored ? restored->run.values.at("clock").get<run_time>() : run_time{0});
  const auto end = std::make_shared<ending>();
  const auto main_server = system.spawn<caf::detached>(server, std::move(setup));
  when_gone(main_server, [end](const caf::error& reason) { end->set(reason); });
  const auto main_node = system.spawn(node, run_context_ptr(run), main_server, lanes);
  // The server watches its nodes, but not before they have joined.
  when_gone(main_node, [end](const caf::error& reason) { end->set(failure_of("node", reason)); });

  bool asked = false;
  while (!end->wait_for(100ms)) {
    if (!asked && parts.stop != nullptr && *parts.stop) {
      send_from_outside(main_server, stop_run{});
      asked = true;
    }
  }
  ask_to_exit(main_server);
  ask_to_exit(main_node);
  system.await_all_actors_done();
  if (end->reason() != caf::exit_reason::user_shutdown) {
    throw run_error(explain(failure_of("server", end->reason())));
  }
  return *result->summary;
}

}  // namespace rubato
