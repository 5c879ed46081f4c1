#include "actors/data_loader.hpp"

#include <algorithm>
#include <utility>

namespace rubato {
namespace {

using pointer = actor_pointer<data_loader_actor, data_loader_state>;

void send_next(pointer self, const update_id& round) {
  auto& state = state_of(self);
  const auto it = state.streams.find(round);
  if (it == state.streams.end()) return;  // all of its batches are on their way
  auto& s = it->second;
  auto content = std::make_shared<const batch>(state.run->data->training_batch(s.shard, s.next));
  send(self, s.lane, batch_ready{round, std::move(content)});
  s.next += 1;
  if (--s.remaining == 0) state.streams.erase(it);
}

}  // namespace

data_loader_actor::behavior_type data_loader(pointer self, run_context_ptr run) {
  state_of(self).run = std::move(run);
  return {
      [self](const open_batches& request) {
        guarded(self, "data loader", [&] {
          auto& state = state_of(self);
          const auto lane = caf::actor_cast<lane_actor>(self->current_sender());
          state.streams[request.round] = {lane, request.shard, request.position, request.count};
          const auto ahead =
              std::min<std::int64_t>(request.count, state.run->settings.data.prefetch);
          for (std::int64_t i = 0; i < ahead; ++i) send_next(self, request.round);
        });
      },
      [self](const batches_taken& taken) {
        guarded(self, "data loader", [&] {
          for (std::uint32_t i = 0; i < taken.count; ++i) send_next(self, taken.round);
        });
      },
      [self](const update_settled& settled) {
        guarded(self, "data loader", [&] { state_of(self).streams.erase(settled.id); });
      },
  };
}

}  // namespace rubato
