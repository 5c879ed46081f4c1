#include "actors/lane.hpp"

#include <utility>

namespace rubato {
namespace {

using pointer = actor_pointer<lane_actor, lane_state>;

void begin(pointer self, const run_round& job) {
  auto& state = state_of(self);
  if (!state.round) {
    state.round = std::make_unique<local_round>(state.run->settings, state.run->make_learner());
  }
  state.round->begin(job.work, job.base, job.inner);
  state.current = job.work.id;
  state.waiting = true;
  send(self, state.loader,
       open_batches{job.work.id, job.work.shard, job.work.data_position, job.work.steps});
}

void step(pointer self) {
  auto& state = state_of(self);
  if (state.batches.empty()) {
    state.waiting = true;
    return;
  }
  const auto next = std::move(state.batches.front());
  state.batches.pop_front();
  send(self, state.loader, batch_taken{state.current});
  state.round->step(*next);
  if (!state.round->done()) {
    send(self, lane_actor(self), take_step{});
    return;
  }
  auto result = state.round->finish();
  send(self, state.node,
       round_finished{state.index, std::make_shared<const submission>(submission{
                                       std::move(result.update), std::move(result.delta)})});
}

}  // namespace

lane_actor::behavior_type lane(pointer self, run_context_ptr run, std::uint32_t index,
                               node_actor node, data_loader_actor loader) {
  auto& state = state_of(self);
  state.run = std::move(run);
  state.index = index;
  state.node = std::move(node);
  state.loader = std::move(loader);
  return {
      [self](const run_round& job) { guarded(self, "lane", [&] { begin(self, job); }); },
      [self](const batch_ready& ready) {
        auto& state = state_of(self);
        state.batches.push_back(ready.content);
        if (std::exchange(state.waiting, false)) send(self, lane_actor(self), take_step{});
      },
      [self](const take_step&) { guarded(self, "lane", [&] { step(self); }); },
  };
}

}  // namespace rubato
