#include "actors/worker.hpp"

#include <algorithm>
#include <utility>

#include "optim/inner_optimizer.hpp"

namespace rubato {
namespace {

using pointer = actor_pointer<worker_actor, worker_state>;

void begin(pointer self, const assign_round& round) {
  auto& state = state_of(self);
  // One that was lost and comes back is another machine, or has forgotten everything.
  const auto incarnation = round.work.id.incarnation;
  if (std::exchange(state.incarnation, incarnation) != incarnation) state.inner.reset();
  if (state.run->settings.inner.state == "zero") state.inner.reset();
  if (round.inner) state.inner = std::make_shared<inner_state>(copy_of(*round.inner));
  if (!state.inner) state.inner = std::make_shared<inner_state>();
  state.work = round.work;
  send(self, state.node, run_round{round.work, round.base, state.inner});
}

bool is_current(const worker_state& state, const update_id& round) {
  return state.work && state.work->id == round;
}

void finish(pointer self, const round_finished& round) {
  auto& state = state_of(self);
  if (!is_current(state, round.content->update.id)) return;  // settled in the meantime
  state.unsettled = round.content;
  if (!state.run->on_wall_clock() || !state.run->settings.workers.throttle) {
    send(self, state.server, submit_update{state.unsettled});
    return;
  }
  const run_time early = state.work->due() - state.run->clock.now();
  submission paced = *round.content;
  paced.update.late = std::max(run_time{0}, -early);
  paced.update.compute_time = state.work->timing.compute + paced.update.late;
  state.unsettled = std::make_shared<const submission>(std::move(paced));
  send_after(self, std::max(run_time{0}, early), worker_actor(self), hand_in{state.work->id});
}

void hand_over(pointer self, const update_id& round) {
  auto& state = state_of(self);
  if (is_current(state, round)) send(self, state.server, submit_update{state.unsettled});
}

void settle(pointer self, const update_settled& settled) {
  auto& state = state_of(self);
  if (is_current(state, settled.id)) {
    state.work.reset();
    state.unsettled.reset();
  }
  // What made the update NaN or infinite is in the state too, and would never leave it.
  if (settled.what == fate::not_finite) state.inner.reset();
}

}  // namespace

worker_actor::behavior_type worker(pointer self, run_context_ptr run, server_actor server,
                                   node_actor node) {
  auto& state = state_of(self);
  state.run = std::move(run);
  state.server = std::move(server);
  state.node = std::move(node);
  return {
      [self](const assign_round& round) { guarded(self, "worker", [&] { begin(self, round); }); },
      [self](const round_finished& round) {
        guarded(self, "worker", [&] { finish(self, round); });
      },
      [self](const hand_in& due) { guarded(self, "worker", [&] { hand_over(self, due.round); }); },
      [self](const update_settled& settled) {
        guarded(self, "worker", [&] { settle(self, settled); });
      },
  };
}

}  // namespace rubato
