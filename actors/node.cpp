#include "actors/node.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "actors/data_loader.hpp"
#include "actors/lane.hpp"
#include "actors/worker.hpp"
#include "recovery/snapshot.hpp"

namespace rubato {
namespace {

using pointer = actor_pointer<node_actor, node_state>;

// A round that waits at a lane while another one is free loses no more than this.
constexpr run_time longest_wait = std::chrono::milliseconds(1);
constexpr std::int64_t most_ahead = 7;

/// Where rounds are as short as the last one was.
std::size_t rounds_ahead(run_time last) {
  const std::int64_t fit = longest_wait / std::max(last, run_time{1});
  return static_cast<std::size_t>(std::min(fit, most_ahead));
}

node_state::member& member_of(pointer self, const update_id& round) {
  return state_of(self).workers.at(round.worker);
}

void queue(pointer self, const run_round& round) {
  auto& member = member_of(self, round.work.id);
  if (member.captured) {  // it was on its way here
    member.held = round;
    send(self, member.actor, capture_worker{round.work.id.worker, true});
    return;
  }
  const node_state::place_in_queue place(round.work.due(), round.work.id);
  state_of(self).ready.emplace(place, round);
  member.queued = place;
}

/// The lane that has the fewest rounds, if it is to have another one. Where rounds are short, it
/// has the next ones before it is through, rather than to wait for a message and back.
node_state::lane_slot* next_lane(node_state& state) {
  const auto least =
      std::min_element(state.lanes.begin(), state.lanes.end(),
                       [](const auto& a, const auto& b) { return a.rounds < b.rounds; });
  return least != state.lanes.end() && least->rounds <= state.rounds_ahead ? &*least : nullptr;
}

void fill_lanes(pointer self) {
  auto& state = state_of(self);
  while (!state.ready.empty()) {
    auto* const lane = next_lane(state);
    if (lane == nullptr) return;
    const auto first = state.ready.begin();
    send(self, lane->actor, first->second);
    lane->rounds += 1;
    auto& queued = member_of(self, first->first.second).queued;
    if (queued == first->first) queued.reset();
    state.ready.erase(first);
  }
}

void free_lane(pointer self, std::uint32_t lane) {
  state_of(self).lanes[lane].rounds -= 1;
  fill_lanes(self);
}

void start(pointer self, const run_context_ptr& run, const host_actor& host,
           const std::vector<worker_id>& workers, std::int64_t lanes) {
  auto& state = state_of(self);
  if (loader_threads(*run) > 0) {
    state.loader = self->spawn<caf::detached + caf::linked>(data_loader, run);
  }
  for (std::int64_t i = 0; i < lanes; ++i) {
    const auto index = static_cast<std::uint32_t>(i);
    state.lanes.push_back({self->spawn<caf::detached + caf::linked>(
        lane, run, index, node_actor(self), state.loader)});
  }
  for (const auto id : workers) {
    state.workers[id].actor = self->spawn<caf::linked>(worker, run, id, host, node_actor(self));
  }
  send(self, host, join_run{caf::actor_cast<caf::strong_actor_ptr>(self), workers, {}});
}

/// Tells the worker; a round that will not be handed in need not be computed to its end.
void settle(pointer self, const update_settled& settled) {
  auto& state = state_of(self);
  auto& member = member_of(self, settled.id);
  send(self, member.actor, settled);
  if (settled.what != fate::run_ended && settled.what != fate::abandoned) return;
  if (member.queued && member.queued->second == settled.id) {
    state.ready.erase(*std::exchange(member.queued, std::nullopt));
    return;
  }
  if (member.held && member.held->work.id == settled.id) {
    member.held.reset();
    return;
  }
  for (const auto& lane : state.lanes) send(self, lane.actor, settled);
}

/// A version that a round is to take over, wherever that is.
void pass_on(pointer self, const take_over& taken) {
  auto& state = state_of(self);
  auto& member = member_of(self, taken.round);
  if (member.queued && member.queued->second == taken.round) {
    state.ready.at(*member.queued).reply = taken.reply;
  } else if (member.held && member.held->work.id == taken.round) {
    member.held->reply = taken.reply;
  } else {
    for (const auto& lane : state.lanes) send(self, lane.actor, taken);
  }
}

void capture(pointer self, const capture_worker& request) {
  auto& state = state_of(self);
  auto& member = state.workers.at(request.worker);
  member.captured = true;
  if (member.queued) {
    member.held = state.ready.extract(*std::exchange(member.queued, std::nullopt)).mapped();
  }
  send(self, member.actor, capture_worker{request.worker, member.held.has_value()});
}

void release(pointer self, const capture_written& written) {
  auto& member = state_of(self).workers.at(written.worker);
  member.captured = false;
  send(self, member.actor, written);
  if (member.held) {
    queue(self, *std::exchange(member.held, std::nullopt));
    fill_lanes(self);
  }
}

}  // namespace

node_actor::behavior_type node(pointer self, run_context_ptr run, host_actor host,
                               const std::vector<worker_id>& workers, std::int64_t lanes) {
  guarded(self, "node", [&] { start(self, run, host, workers, lanes); });
  return {
      [self](const assign_round& round) {
        guarded(self, "node", [&] { send(self, member_of(self, round.work.id).actor, round); });
      },
      [self](const update_settled& settled) {
        guarded(self, "node", [&] { settle(self, settled); });
      },
      [self](const run_round& round) {
        guarded(self, "node", [&] {
          queue(self, round);
          fill_lanes(self);
        });
      },
      [self](const take_over& taken) { guarded(self, "node", [&] { pass_on(self, taken); }); },
      [self](const round_finished& round) {
        guarded(self, "node", [&] {
          send(self, member_of(self, round.content->update.id).actor, round);
          state_of(self).rounds_ahead = rounds_ahead(round.content->took.lane);
          free_lane(self, round.lane);
        });
      },
      [self](const round_dropped& round) {
        guarded(self, "node", [&] { free_lane(self, round.lane); });
      },
      [self](const capture_worker& request) {
        guarded(self, "node", [&] { capture(self, request); });
      },
      [self](const capture_written& written) {
        guarded(self, "node", [&] { release(self, written); });
      },
      [self](const restore_worker& restore) {
        guarded(self, "node", [&] {
          send(self, state_of(self).workers.at(restore.content->worker).actor, restore);
        });
      },
  };
}

}  // namespace rubato
