#include "actors/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/context.hpp"
#include "actors/data_loader.hpp"
#include "actors/gate.hpp"
#include "actors/node.hpp"
#include "actors/run_setup.hpp"
#include "actors/server.hpp"
#include "config/error.hpp"
#include "config/instruction_set.hpp"
#include "config/load.hpp"
#include "config/version.hpp"
#include "coordination/state_json.hpp"
#include "coordination/tempo.hpp"
#include "model/blas.hpp"
#include "model/precision.hpp"
#include "network/silence_sweeper.hpp"
#include "recovery/branch.hpp"
#include "recovery/history.hpp"
#include "recovery/resume.hpp"
#include "recovery/run_journal.hpp"
#include "storage/run_lock.hpp"

namespace rubato {
namespace {

using namespace std::chrono_literals;

// Server, evaluator, recorder, data loader: threads besides those of the thread budget.
constexpr std::int64_t detached_actors = 4;

// For all nodes to know that the run is over.
constexpr auto closing_time = 5s;

/// What is learned from, in one word.
std::string unit_of(const data_shape& shape) {
  if (shape.tensors > 0) return "example";
  if (shape.height > 0) return "image";
  return shape.features > 0 ? "point" : "token";
}

std::string describe_method(const config& c) {
  return fmt::format("{} {}, quota {}", c.outer.mode, c.outer.optimizer, c.quota.policy);
}

/// The trainable parameters, by the first word of their tensors' names.
std::vector<run_plan::parameter_part> parameter_parts(const parameter_layout& layout) {
  std::vector<run_plan::parameter_part> parts;
  for (const auto& tensor : layout.tensors()) {
    if (tensor.part != section::trainable) continue;
    auto name = tensor.name.substr(0, tensor.name.find('.'));
    std::replace(name.begin(), name.end(), '_', ' ');
    auto found = std::find_if(parts.begin(), parts.end(),
                              [&](const auto& part) { return part.name == name; });
    if (found == parts.end()) found = parts.insert(found, {std::move(name), 0});
    found->count += static_cast<std::int64_t>(tensor.size);
  }
  return parts;
}

run_plan make_plan(const run_context& run, const std::string& directory, std::int64_t lanes,
                   bool links) {
  const auto& c = run.settings;
  run_plan plan;
  plan.name = c.run.name;
  plan.directory = directory;
  plan.method = describe_method(c);
  plan.clock = c.clock.mode;
  plan.paced = c.paced();
  plan.parameters = static_cast<std::int64_t>(run.layout.count(section::trainable));
  plan.parameter_parts = parameter_parts(run.layout);
  plan.local_steps = c.run.local_steps;
  plan.threads = lanes;
  plan.threads_per_lane = c.workers.threads_per_lane;
  plan.other_threads =
      static_cast<std::int64_t>(scheduler_threads(links) + loader_threads(run)) + detached_actors;
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

/// Null if there is nothing to go on with, and it begins anew. A branch that begins has no journal.
std::shared_ptr<restored_run> restore_with_journal(const std::string& directory, const config& c) {
  auto& files = posix_file_system();
  std::shared_ptr<restored_run> restored = restore_run(files, directory, state_folder(c.inner));
  if (!c.journal.enabled) return restored;
  if (!restored) {
    forget_beginning(files, directory);
  } else if (c.run.branch.empty() || keeps_journal(files, directory)) {
    restored->journal = mend_journal(files, directory, restored->header);
  }
  return restored;
}

/// Where the clock goes on: what is done again has taken its time already.
run_time time_before(const restored_run& restored, bool on_wall_clock) {
  const auto saved = restored.run.values.at("clock").get<run_time>();
  return on_wall_clock && restored.journal ? std::max(saved, restored.journal->last) : saved;
}

/// The node of this process, with all workers.
caf::strong_actor_ptr start_node(caf::actor_system& system, const run_context_ptr& run,
                                 const server_actor& server, std::int64_t lanes) {
  std::vector<worker_id> all(static_cast<std::size_t>(run->settings.workers.count));
  std::iota(all.begin(), all.end(), worker_id{0});
  return caf::actor_cast<caf::strong_actor_ptr>(
      system.spawn(node, run, host_actor(server), all, lanes));
}

/// The gate for nodes of other processes, which can reach it from now on.
caf::strong_actor_ptr open_gate(caf::actor_system& system, const run_context_ptr& run,
                                const server_actor& server, const run_identity& identity,
                                const serving& how, silence_sweeper& sweeper) {
  const run_offer offer{
      to_string(identity), run_settings(run->settings), manifest_of(*run, how.version), {}};
  const auto opened = system.spawn(gate, gate_setup{run, server, how.version, offer});
  const auto port = publish(system, opened, how.listen.host, how.listen.port,
                            identity_of(run->settings.network).given());
  if (!port) {
    ask_to_exit(opened);
    throw run_error(fmt::format("network.listen = \"{}\": cannot listen there: {}",
                                to_string(how.listen), explain(port.error())));
  }
  sweeper.watch(*port);
  send_from_outside(server, remark{fmt::format("nodes join with: rubato work --server {}",
                                               to_string({how.listen.host, *port}))});
  return caf::actor_cast<caf::strong_actor_ptr>(opened);
}

}  // namespace

run_summary run_training(const config& c, run_parts parts) {
  use_instruction_set(c.run.instruction_set);
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
    restored = restore_with_journal(directory->path(), c);
  }
  const auto run = make_context(c, parts, restored == nullptr);
  directory->write("config.toml", fmt::format("# The settings of this run, of rubato {}.\n\n{}",
                                              program_version(), to_toml(c)));

  const std::int64_t lanes = parts.serve ? 0 : lane_count(c);
  server_setup setup;
  setup.run = run;
  setup.observer = parts.observer;
  setup.probe = parts.probe;
  setup.directory = directory;
  setup.identity = restored ? restored->header.run : new_run_identity();
  setup.restored = restored;
  setup.result = std::make_shared<run_result>();
  setup.plan = make_plan(*run, directory->path(), lanes, parts.serve.has_value());
  setup.plan.open = setup.open = parts.serve.has_value();
  const auto identity = setup.identity;
  const auto result = setup.result;

  initialize_messages();
  caf::actor_system_config system_config;
  configure(system_config, scheduler_threads(parts.serve.has_value()));
  if (parts.serve) {
    configure_network<caf::id_block::rubato_wire>(system_config, identity_of(c.network));
  }
  silence_sweeper sweeper;
  std::optional<patient_threads> patient;
  if (!parts.serve) patient.emplace();
  caf::actor_system system(system_config);
  run->clock = wall_clock(restored ? time_before(*restored, run->on_wall_clock()) : run_time{0});
  const auto end = std::make_shared<ending>();
  const auto main_server = system.spawn<caf::detached>(server, std::move(setup));
  patient.reset();
  when_gone(main_server, [end](const caf::error& reason) { end->set(reason); });
  caf::strong_actor_ptr members;
  try {
    members = parts.serve ? open_gate(system, run, main_server, identity, *parts.serve, sweeper)
                          : start_node(system, run, main_server, lanes);
  } catch (...) {
    ask_to_exit(main_server);
    throw;
  }
  // The server watches its nodes, but not before they have joined.
  const auto members_gone = std::make_shared<ending>();
  when_gone(members, [end, members_gone](const caf::error& reason) {
    members_gone->set(reason);
    end->set(failure_of("node", reason));
  });

  bool asked = false;
  while (!end->wait_for(100ms)) {
    if (!asked && parts.stop != nullptr && *parts.stop) {
      send_from_outside(main_server, stop_run{});
      asked = true;
    }
  }
  ask_to_exit(main_server);
  if (parts.serve) {
    const bool over = result->summary && result->summary->outcome != "interrupted";
    send_from_outside(caf::actor_cast<gate_actor>(members), close_gate{!over});
    members_gone->wait_for(closing_time);
    sweeper.end_all();
  }
  ask_to_exit(members);
  system.await_all_actors_done();
  if (end->reason() != caf::exit_reason::user_shutdown) {
    throw run_error(explain(failure_of("server", end->reason())));
  }
  return *result->summary;
}

}  // namespace rubato
