#include "actors/worker.hpp"

#include <algorithm>
#include <utility>

#include "optim/inner_optimizer.hpp"
#include "recovery/snapshot.hpp"

namespace rubato {
namespace {

using pointer = actor_pointer<worker_actor, worker_state>;

/// What the round begins with in place of `own`, what the worker has of its last one. Its local
/// tensors are no optimizer's state: they stay in any case. So does what is yet to come of its
/// updates, unless those were gradients and this one is not.
inner_state_ptr renewed(const inner_state_ptr& own, const assign_round& round) {
  auto fresh = std::make_shared<inner_state>(round.inner ? copy_of(*round.inner) : inner_state{});
  fresh->local = own ? own->local : nullptr;
  fresh->residual = own && !round.work.handover ? own->residual : nullptr;
  return fresh;
}

void begin(pointer self, const assign_round& round) {
  auto& state = state_of(self);
  if (state.captured) {
    state.next = round;
    return;
  }
  // One that was lost and comes back is another machine, or has forgotten everything.
  const auto incarnation = round.work.id.incarnation;
  if (std::exchange(state.incarnation, incarnation) != incarnation) state.inner.reset();
  if (!state.inner || round.inner || state.run->settings.inner.state == "zero") {
    state.inner = renewed(state.inner, round);
  }
  state.work = round.work;
  send(self, state.node, run_round{round.work, round.base, state.inner});
}

bool is_current(const worker_state& state, const update_id& round) {
  return state.work && state.work->id == round;
}

/// For a checkpoint. `base`: of the round, if no lane has begun it.
void say_where(pointer self, const version_ptr& base, const inner_state_ptr& inner) {
  auto& state = state_of(self);
  state.asked = false;
  state.captured = true;
  auto content = std::make_shared<worker_snapshot>();
  content->worker = state.id;
  content->incarnation = state.incarnation;
  content->inner = inner;
  content->work = state.work;
  content->base = base;
  if (state.unsettled) {
    content->update = state.unsettled->update;
    content->delta = state.unsettled->delta;
    content->encoded = state.unsettled->encoded;
    content->submits_inner = state.unsettled->inner != nullptr;
  }
  send(self, state.server, worker_captured{std::move(content)});
}

void capture(pointer self, const capture_worker& request) {
  auto& state = state_of(self);
  if (state.captured) return;  // its round was settled on the way
  if (state.work && !state.unsettled && !request.base) {
    state.asked = true;
  } else {
    say_where(self, state.work ? request.base : nullptr, state.inner);
  }
}

void go_on(pointer self) {
  auto& state = state_of(self);
  state.captured = false;
  if (state.next) begin(self, *std::exchange(state.next, std::nullopt));
}

bool holds_back(const worker_state& state) {
  return state.run->on_wall_clock() && state.run->settings.workers.throttle;
}

/// Hands in what is not settled, or holds it until it is due.
void submit(pointer self) {
  auto& state = state_of(self);
  if (!holds_back(state)) {
    send(self, state.server, submit_update{state.unsettled});
    return;
  }
  const run_time early = state.work->due() - state.run->clock.now();
  send_after(self, std::max(run_time{0}, early), worker_actor(self), hand_in{state.work->id});
}

void finish(pointer self, const round_finished& round) {
  auto& state = state_of(self);
  if (!is_current(state, round.content->update.id)) return;  // settled in the meantime
  state.unsettled = round.content;
  if (holds_back(state)) {
    submission paced = *round.content;
    paced.update.late = std::max(run_time{0}, state.run->clock.now() - state.work->due());
    paced.update.compute_time = state.work->timing.compute + paced.update.late;
    state.unsettled = std::make_shared<const submission>(std::move(paced));
  }
  submit(self);
  if (state.asked) say_where(self, nullptr, state.inner);
}

void restore(pointer self, const worker_snapshot& saved) {
  auto& state = state_of(self);
  state.incarnation = saved.incarnation;
  state.inner = saved.inner;
  state.work = saved.work;
  if (saved.update) {
    state.unsettled = std::make_shared<const submission>(submission{
        *saved.update, saved.delta, saved.encoded, saved.submits_inner ? saved.inner : nullptr});
    submit(self);
  } else if (saved.base) {
    send(self, state.node, run_round{*saved.work, saved.base, state.inner});
  }
}

void hand_over(pointer self, const update_id& round) {
  auto& state = state_of(self);
  if (is_current(state, round)) send(self, state.server, submit_update{state.unsettled});
}

void settle(pointer self, const update_settled& settled) {
  auto& state = state_of(self);
  if (state.next && state.next->work.id == settled.id) state.next.reset();
  if (is_current(state, settled.id)) {
    state.work.reset();
    state.unsettled.reset();
    // Abandoned, or cut off by the run's end: the state, which the lane may still be changing, is
    // never used again.
    if (state.asked) say_where(self, nullptr, nullptr);
  }
  // What made the update NaN or infinite is in the state too, and would never leave it.
  if (settled.what == fate::not_finite) state.inner.reset();
}

}  // namespace

worker_actor::behavior_type worker(pointer self, run_context_ptr run, worker_id id,
                                   server_actor server, node_actor node) {
  auto& state = state_of(self);
  state.id = id;
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
      [self](const capture_worker& request) {
        guarded(self, "worker", [&] { capture(self, request); });
      },
      [self](const capture_written&) { guarded(self, "worker", [&] { go_on(self); }); },
      [self](const restore_worker& saved) {
        guarded(self, "worker", [&] { restore(self, *saved.content); });
      },
  };
}

}  // namespace rubato
