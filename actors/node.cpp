#include "actors/node.hpp"

#include "actors/data_loader.hpp"
#include "actors/lane.hpp"
#include "actors/worker.hpp"

namespace rubato {
namespace {

using pointer = actor_pointer<node_actor, node_state>;

void fill_lanes(pointer self) {
  auto& state = state_of(self);
  while (!state.free_lanes.empty() && !state.ready.empty()) {
    const auto first = state.ready.begin();
    send(self, state.lanes[state.free_lanes.back()], first->second);
    state.free_lanes.pop_back();
    state.ready.erase(first);
  }
}

void free_lane(pointer self, std::uint32_t lane) {
  state_of(self).free_lanes.push_back(lane);
  fill_lanes(self);
}

void start(pointer self, const run_context_ptr& run, const server_actor& server,
           std::int64_t lanes) {
  auto& state = state_of(self);
  const auto loader = self->spawn<caf::detached + caf::linked>(data_loader, run);
  for (std::int64_t i = 0; i < lanes; ++i) {
    const auto index = static_cast<std::uint32_t>(i);
    state.lanes.push_back(
        self->spawn<caf::detached + caf::linked>(lane, run, index, node_actor(self), loader));
    state.free_lanes.push_back(index);
  }
  join_run join{caf::actor_cast<caf::strong_actor_ptr>(self), {}};
  for (std::int64_t i = 0; i < run->settings.workers.count; ++i) {
    const auto id = static_cast<worker_id>(i);
    state.workers.emplace(id, self->spawn<caf::linked>(worker, server, node_actor(self)));
    join.workers.push_back(id);
  }
  send(self, server, std::move(join));
}

/// Tells the worker; a round that will not be handed in need not be computed to its end.
void settle(pointer self, const update_settled& settled) {
  auto& state = state_of(self);
  send(self, state.workers.at(settled.id.worker), settled);
  if (settled.what != fate::run_ended && settled.what != fate::abandoned) return;
  std::erase_if(state.ready, [&](const auto& entry) { return entry.first.second == settled.id; });
  for (const auto& lane : state.lanes) send(self, lane, settled);
}

}  // namespace

node_actor::behavior_type node(pointer self, run_context_ptr run, server_actor server,
                               std::int64_t lanes) {
  guarded(self, "node", [&] { start(self, run, server, lanes); });
  return {
      [self](const assign_round& round) {
        guarded(self, "node",
                [&] { send(self, state_of(self).workers.at(round.work.id.worker), round); });
      },
      [self](const update_settled& settled) {
        guarded(self, "node", [&] { settle(self, settled); });
      },
      [self](const run_round& round) {
        guarded(self, "node", [&] {
          state_of(self).ready.emplace(std::pair(round.work.due(), round.work.id), round);
          fill_lanes(self);
        });
      },
      [self](const round_finished& round) {
        guarded(self, "node", [&] {
          send(self, state_of(self).workers.at(round.content->update.id.worker), round);
          free_lane(self, round.lane);
        });
      },
      [self](const round_dropped& round) {
        guarded(self, "node", [&] { free_lane(self, round.lane); });
      },
  };
}

}  // namespace rubato
