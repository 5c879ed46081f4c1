#include "actors/work.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <limits>
#include <memory>
#include <utility>

#include "actors/run_setup.hpp"
#include "actors/server_courier.hpp"
#include "config/instruction_set.hpp"
#include "storage/run_identity.hpp"

namespace rubato {
namespace {

using namespace std::chrono_literals;

std::string machine_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "node";
  return fmt::format("{}-{}", name.data(), getpid());
}

/// Rounds that this machine could compute at once.
std::int64_t capacity(config own) {
  own.workers.count = std::numeric_limits<std::int64_t>::max();
  return lane_count(own);
}

}  // namespace

void work_for(const work_setup& setup, const run_parts& parts) {
  const auto& own = setup.settings.own;
  use_instruction_set(own.run.instruction_set);
  server_courier_setup courier;
  courier.server = setup.server;
  courier.network = own.network;
  courier.encrypted = identity_of(own.network).given();
  courier.version = setup.version;
  courier.lanes = capacity(own);
  courier.say = setup.say;
  courier.links = parts.links;
  courier.result = std::make_shared<work_result>();
  courier.offer.name = setup.name.empty() ? machine_name() : setup.name;
  courier.offer.instance = to_string(new_run_identity());
  courier.offer.workers =
      static_cast<std::uint32_t>(setup.workers > 0 ? setup.workers : courier.lanes);
  const auto mine = setup.settings.values;
  courier.prepare = [mine, parts](const override_list& run) {
    // Settings of this node that are of no use in this run are no mistake.
    std::vector<std::string> notes;
    const auto c =
        load_config({.layers = {{mine, "this node"}, {run, "the server's config"}}}, &notes);
    return run_context_ptr(make_context(c, parts, false, data_use::training));
  };
  const auto result = courier.result;

  initialize_messages();
  caf::actor_system_config system_config;
  configure(system_config, scheduler_threads(true));
  configure_network<caf::id_block::rubato_wire>(system_config, identity_of(own.network));
  caf::actor_system system(system_config);
  const auto end = std::make_shared<ending>();
  const auto main_courier = system.spawn<caf::detached>(server_courier, std::move(courier));
  when_gone(main_courier, [end](const caf::error& reason) { end->set(reason); });
  bool asked = false;
  while (!end->wait_for(100ms)) {
    if (!asked && parts.stop != nullptr && *parts.stop) {
      send_from_outside(main_courier, stop_run{});
      asked = true;
    }
  }
  ask_to_exit(main_courier);
  system.await_all_actors_done();
  if (result->error) std::rethrow_exception(result->error);
}

}  // namespace rubato
