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
inner_state_ptr renewed(const inner_state_ptr& own, const assign_round& round,
                        const std::string& folder) {
  auto fresh =
      std::make_shared<inner_state>(copy_of(round.inner ? *round.inner : inner_state{}, folder));
  fresh->local = own ? own->local : nullptr;
  fresh->residual = own && !round.work.handover ? own->residual : nullptr;
  return fresh;
}

bool has_overlap(const worker_state& state) {
  return state.run->settings.network.overlap;
}

std::deque<worker_round>::iterator find(worker_state& state, const update_id& round) {
  return std::find_if(state.rounds.begin(), state.rounds.end(),
                      [&](const worker_round& r) { return r.given.work.id == round; });
}

/// With overlap: where a round starts that is not the first, and the version that it is to take
/// over, if that is there. False: the worker has to wait for one.
///
/// Where links are simulated, that version gets there at a known step, so a round is not computed
/// before; in real time it is computed at once, and takes over the version when it comes.
bool join_ends(const worker_state& state, const worker_round& round, const worker_round* next,
               run_round& job) {
  const bool paced = state.run->settings.paced();
  if (next == nullptr && paced) return false;
  if (!state.went) {  // the last update was not finite: the newest version, and nothing of its own
    if (next != nullptr) {
      job.base = next->given.base;
      job.reply = version_reply{next->given.base, next->given.work.base_version, 0};
    }
    return job.base != nullptr;
  }
  if (state.replied || !round.given.base) {
    job.base = state.went.to;
  } else {
    job.ahead = state.went;
  }
  if (next != nullptr && (next->given.steps_before || !paced)) {
    job.reply = version_reply{next->given.base, next->given.work.base_version,
                              next->given.steps_before.value_or(0)};
  }
  return true;
}

/// Sends the next round on its way, if there is one and nothing is in its way.
void begin(pointer self) {
  auto& state = state_of(self);
  if (state.captured || state.running) return;
  const auto round = std::find_if(state.rounds.begin(), state.rounds.end(),
                                  [](const worker_round& r) { return r.done == nullptr; });
  if (round == state.rounds.end()) return;
  const auto& given = round->given;
  run_round job{given.work, given.base, nullptr, {}, {}};
  if (has_overlap(state) && given.work.id.sequence > 0) {
    const auto next = std::next(round);
    if (!join_ends(state, *round, next == state.rounds.end() ? nullptr : &*next, job)) return;
  }
  if (!state.inner || given.inner || state.run->settings.inner.state == "zero") {
    state.inner = renewed(state.inner, given, state.run->state_folder);
  }
  job.inner = state.inner;
  state.running = given.work.id;
  send(self, state.node, std::move(job));
}

void assign(pointer self, const assign_round& round) {
  auto& state = state_of(self);
  if (state.asked) {
    state.told.emplace_back(round);
    return;
  }
  // One that was lost and comes back is another machine, or has forgotten everything.
  const auto incarnation = round.work.id.incarnation;
  if (std::exchange(state.incarnation, incarnation) != incarnation) {
    state.inner.reset();
    state.went = {};
  }
  const bool computes_last =
      state.running && !state.rounds.empty() && state.rounds.back().given.work.id == *state.running;
  state.rounds.push_back({round, nullptr});
  if (computes_last && round.base && !state.run->settings.paced()) {
    send(self, state.node,
         take_over{*state.running, version_reply{round.base, round.work.base_version, 0}});
  }
  begin(self);
}

bool holds_back(const worker_state& state) {
  return state.run->on_wall_clock() && state.run->settings.workers.throttle;
}

/// Hands in what is not settled, or holds it until it is due.
void submit(pointer self, const worker_round& round) {
  auto& state = state_of(self);
  if (!holds_back(state)) {
    send(self, state.host, submit_update{round.done});
    return;
  }
  const auto& work = round.given.work;
  const run_time early = work.due() - state.run->clock.now();
  send_after(self, std::max(run_time{0}, early), worker_actor(self), hand_in{work.id});
}

void hand_over(pointer self, const update_id& id) {
  auto& state = state_of(self);
  const auto round = find(state, id);
  if (round != state.rounds.end()) send(self, state.host, submit_update{round->done});
}

void settle(pointer self, const update_settled& settled);

/// For a checkpoint. A round that a lane has not begun is as one that the node does not have.
void say_where(pointer self, const inner_state_ptr& inner) {
  auto& state = state_of(self);
  state.asked = false;
  state.captured = true;
  auto content = std::make_shared<worker_snapshot>();
  content->worker = state.id;
  content->incarnation = state.incarnation;
  content->inner = inner;
  content->went = state.went;
  content->replied = state.replied;
  for (const auto& [given, done] : state.rounds) {
    auto& round = content->rounds.emplace_back();
    round.work = given.work;
    round.base = given.base;
    round.steps_before = given.steps_before;
    if (!done) continue;
    round.update = done->update;
    round.delta = done->delta;
    round.encoded = done->encoded;
    round.submits_inner = done->inner != nullptr;
  }
  send(self, state.host, worker_captured{std::move(content)});
  for (const auto& told : std::exchange(state.told, {})) {
    if (const auto* round = std::get_if<assign_round>(&told)) {
      assign(self, *round);
    } else {
      settle(self, std::get<update_settled>(told));
    }
  }
}

void capture(pointer self, const capture_worker& request) {
  auto& state = state_of(self);
  if (state.captured) return;  // its round was settled on the way
  if (state.running && !request.held) {
    state.asked = true;
  } else {
    say_where(self, state.inner);
  }
}

void go_on(pointer self) {
  state_of(self).captured = false;
  begin(self);
}

void finish(pointer self, const round_finished& finished) {
  auto& state = state_of(self);
  const auto& id = finished.content->update.id;
  if (state.running != id) return;  // settled in the meantime
  state.running.reset();
  const auto round = find(state, id);
  round->given.base.reset();
  round->done = finished.content;
  state.went = finished.went;
  state.replied = finished.replied;
  if (!finished.content->update.finite) {
    // What made the update NaN or infinite is in the state too, and would never leave it.
    state.inner.reset();
    state.went = {};
  }
  if (holds_back(state)) {
    submission paced = *finished.content;
    const auto& work = round->given.work;
    paced.update.late = std::max(run_time{0}, state.run->clock.now() - work.due());
    paced.update.compute_time = work.timing.compute + paced.update.late;
    round->done = std::make_shared<const submission>(std::move(paced));
  }
  submit(self, *round);
  if (state.asked) say_where(self, state.inner);
  begin(self);
}

void restore(pointer self, const worker_snapshot& saved) {
  auto& state = state_of(self);
  state.incarnation = saved.incarnation;
  state.inner = saved.inner;
  state.went = saved.went;
  state.replied = saved.replied;
  for (const auto& r : saved.rounds) {
    auto& round = state.rounds.emplace_back();
    round.given = {r.work, r.base, nullptr, nullptr, r.steps_before};
    if (!r.update) continue;
    round.done = std::make_shared<const submission>(
        submission{*r.update, r.delta, r.encoded, r.submits_inner ? saved.inner : nullptr});
    submit(self, round);
  }
  begin(self);
}

void settle(pointer self, const update_settled& settled) {
  auto& state = state_of(self);
  const bool runs = state.running == settled.id;
  if (state.asked && !runs) {
    state.told.emplace_back(settled);
    return;
  }
  const auto round = find(state, settled.id);
  if (round != state.rounds.end()) state.rounds.erase(round);
  // What made the update NaN, infinite or huge is in the state too, and may never leave it.
  const bool poisoned = settled.what == fate::not_finite || settled.what == fate::outlier;
  if (poisoned) state.inner.reset();
  if (!runs) return;
  // Abandoned, or cut off by the run's end: the state, which the lane may still be changing, is
  // never used again.
  state.running.reset();
  if (state.asked) say_where(self, nullptr);
}

}  // namespace

worker_actor::behavior_type worker(pointer self, run_context_ptr run, worker_id id, host_actor host,
                                   node_actor node) {
  auto& state = state_of(self);
  state.id = id;
  state.run = std::move(run);
  state.host = std::move(host);
  state.node = std::move(node);
  return {
      [self](const assign_round& round) { guarded(self, "worker", [&] { assign(self, round); }); },
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
