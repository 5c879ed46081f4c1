#include "actors/data_loader.hpp"

#include <algorithm>
#include <thread>
#include <utility>

namespace rubato {
namespace {

using pointer = actor_pointer<data_loader_actor, data_loader_state>;

void start(pointer self, run_context_ptr run) {
  auto& state = state_of(self);
  // A failure on a thread of the pool comes to light in the next handler: this makes one run.
  const auto wake = [weak = caf::actor_cast<caf::weak_actor_ptr>(self)] {
    if (const auto loader = weak.lock()) {
      send_from_outside(caf::actor_cast<data_loader_actor>(loader), batches_taken{{}, 0});
    }
  };
  state.pool = std::make_unique<batch_pool>(run->data, loader_threads(*run), wake);
  state.run = std::move(run);
}

/// What the sender of the current message is given for this round; null if it has gone on.
data_loader_state::supply* supply_of(pointer self, const update_id& round) {
  auto& supplies = state_of(self).supplies;
  const auto& sender = self->current_sender();
  const auto it = sender ? supplies.find(sender->id()) : supplies.end();
  return it != supplies.end() && it->second.round == round ? &it->second : nullptr;
}

void open(pointer self, const open_batches& request) {
  auto& state = state_of(self);
  const auto lane = caf::actor_cast<lane_actor>(self->current_sender());
  auto& supply = state.supplies[lane.id()];
  if (supply.batches) state.pool->close(supply.batches);
  supply.round = request.round;
  supply.batches =
      state.pool->open(request.shard, request.position, request.count,
                       [lane, round = request.round](std::shared_ptr<const batch> content) {
                         send_from_outside(lane, batch_ready{round, std::move(content)});
                       });
  state.pool->make(supply.batches, static_cast<std::uint64_t>(state.run->settings.data.prefetch));
}

}  // namespace

std::size_t loader_threads(const run_context& run) {
  const auto wanted = static_cast<std::size_t>(run.settings.data.loader_threads);
  if (wanted > 0 || !run.data->has_slow_batches()) return wanted;
  return std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

data_loader_actor::behavior_type data_loader(pointer self, run_context_ptr run) {
  guarded(self, "data loader", [&] { start(self, std::move(run)); });
  return {
      [self](const open_batches& request) {
        guarded(self, "data loader", [&] { open(self, request); });
      },
      [self](const batches_taken& taken) {
        guarded(self, "data loader", [&] {
          auto& pool = *state_of(self).pool;
          pool.check();
          if (const auto* supply = supply_of(self, taken.round)) {
            pool.make(supply->batches, taken.count);
          }
        });
      },
      [self](const update_settled& settled) {
        guarded(self, "data loader", [&] {
          auto& state = state_of(self);
          if (const auto* supply = supply_of(self, settled.id)) {
            state.pool->close(supply->batches);
            state.supplies.erase(self->current_sender()->id());
          }
        });
      },
  };
}

}  // namespace rubato
