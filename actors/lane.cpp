#include "actors/lane.hpp"

#include <algorithm>
#include <utility>

#include "transfer/buffer_coding.hpp"

namespace rubato {
namespace {

using pointer = actor_pointer<lane_actor, lane_state>;

void take_over_if_due(lane_state& state) {
  if (!state.reply || state.round->steps() < state.reply->after) return;
  state.round->take_over(std::move(state.reply->version), state.reply->number);
  state.reply.reset();
}

void begin(pointer self, const run_round& job) {
  auto& state = state_of(self);
  if (!state.round) {
    state.round = std::make_unique<local_round>(
        state.run->settings, state.run->make_learner(state.index), state.run->deltas);
  }
  state.round->begin(job.work, job.base, job.inner, job.ahead);
  state.reply = job.reply;
  state.current = job.work.id;
  state.running.emplace(state.run->activity);
  state.inner = job.inner;
  will_need(*state.inner);
  state.begun = state.run->clock.now();
  state.waited = run_time{0};
  take_over_if_due(state);
  if (!state.loader) {
    state.shard = job.work.shard;
    state.position = job.work.data_position;
    send(self, lane_actor(self), take_step{job.work.id});
    return;
  }
  state.waiting = state.begun;
  state.taken = 0;
  send(self, state.loader,
       open_batches{job.work.id, job.work.shard, job.work.data_position, job.work.steps});
}

void receive(pointer self, const batch_ready& ready) {
  auto& state = state_of(self);
  if (ready.round != state.current) return;  // of a round that was dropped
  state.batches.push_back(ready.content);
  if (!state.waiting) return;
  state.waited += state.run->clock.now() - *state.waiting;
  state.waiting.reset();
  send(self, lane_actor(self), take_step{ready.round});
}

/// The round that was current is not any more.
void go_on(pointer self) {
  auto& state = state_of(self);
  state.inner.reset();
  state.current.reset();
  state.running.reset();
  if (state.next.empty()) return;
  const auto job = std::move(state.next.front());
  state.next.pop_front();
  begin(self, job);
}

/// As it travels: with what was kept of earlier ones, and keeping what is lost of this one.
version_ptr encode(lane_state& state, const version_ptr& delta) {
  const auto& run = *state.run;
  auto encoded = run.encodings->take();
  auto kept = run.residuals->take();
  encode_update(run.codec_up(), run.layout, *delta, state.inner->residual.get(), *kept, *encoded);
  state.inner->residual = std::move(kept);
  return encoded;
}

/// The round is done.
void hand_back(pointer self) {
  auto& state = state_of(self);
  auto result = state.round->finish();
  auto content = std::make_shared<submission>();
  content->took.lane = state.run->clock.now() - state.begun;
  content->took.data_wait = state.waited;
  auto& activity = *state.run->activity;
  activity.compute_nanoseconds +=
      static_cast<std::uint64_t>((content->took.lane - state.waited).count());
  activity.waiting_nanoseconds += static_cast<std::uint64_t>(state.waited.count());
  if (state.run->on_wall_clock()) result.update.compute_time = content->took.lane;
  content->update = std::move(result.update);
  if (state.run->codec_up() == codec::f32) {
    content->delta = std::move(result.delta);
  } else {
    content->encoded = encode(state, result.delta);
  }
  let_go(*state.inner);
  if (state.run->settings.inner.state == "average") content->inner = state.inner;
  send(self, state.node,
       round_finished{state.index, std::move(content), std::move(result.went), result.replied});
  go_on(self);
}

std::shared_ptr<const batch> make_batch(lane_state& state) {
  const auto begun = state.run->clock.now();
  auto made =
      std::make_shared<const batch>(state.run->data->training_batch(state.shard, state.position++));
  state.waited += state.run->clock.now() - begun;
  return made;
}

/// One that the loader has sent; null if there is none yet.
std::shared_ptr<const batch> take_batch(pointer self, const update_id& round) {
  auto& state = state_of(self);
  if (state.batches.empty()) {
    state.waiting = state.run->clock.now();
    return nullptr;
  }
  auto next = std::move(state.batches.front());
  state.batches.pop_front();
  // Told by halves of what is prefetched: to wake the loader at every step costs as much as a small
  // step itself.
  if (2 * ++state.taken > state.run->settings.data.prefetch) {
    send(self, state.loader, batches_taken{round, std::exchange(state.taken, 0)});
  }
  return next;
}

void step(pointer self, const update_id& round) {
  auto& state = state_of(self);
  if (round != state.current) return;
  const auto next = state.loader ? take_batch(self, round) : make_batch(state);
  if (!next) return;
  state.round->step(*next);
  state.run->activity->steps += 1;
  take_over_if_due(state);
  if (!state.round->done()) {
    send(self, lane_actor(self), take_step{round});
    return;
  }
  hand_back(self);
}

/// Of the rounds after the current one.
std::deque<run_round>::iterator find_next(lane_state& state, const update_id& round) {
  return std::find_if(state.next.begin(), state.next.end(),
                      [&](const run_round& job) { return job.work.id == round; });
}

void reply(pointer self, const take_over& taken) {
  auto& state = state_of(self);
  if (taken.round == state.current) {
    state.reply = taken.reply;
    take_over_if_due(state);
  } else if (const auto job = find_next(state, taken.round); job != state.next.end()) {
    job->reply = taken.reply;
  }  // otherwise it was done before, and says so
}

void drop(pointer self, const update_settled& settled) {
  auto& state = state_of(self);
  const auto job = find_next(state, settled.id);
  const bool waits = job != state.next.end();
  if (!waits && settled.id != state.current) return;
  send(self, state.node, round_dropped{state.index});
  if (waits) {
    state.next.erase(job);
    return;
  }
  if (state.loader) send(self, state.loader, settled);
  state.reply.reset();
  state.batches.clear();
  go_on(self);
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
      [self](const run_round& job) {
        guarded(self, "lane", [&] {
          auto& state = state_of(self);
          if (state.current) {
            state.next.push_back(job);
          } else {
            begin(self, job);
          }
        });
      },
      [self](const batch_ready& ready) { guarded(self, "lane", [&] { receive(self, ready); }); },
      [self](const take_step& take) { guarded(self, "lane", [&] { step(self, take.round); }); },
      [self](const take_over& taken) { guarded(self, "lane", [&] { reply(self, taken); }); },
      [self](const update_settled& settled) {
        guarded(self, "lane", [&] { drop(self, settled); });
      },
  };
}

}  // namespace rubato
