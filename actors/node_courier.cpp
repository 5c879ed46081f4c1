#include "actors/node_courier.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

#include "config/error.hpp"
#include "recovery/snapshot.hpp"
#include "transfer/buffer_coding.hpp"

namespace rubato {
namespace {

using pointer = actor_pointer<node_courier_actor, node_courier_state>;
using phase = node_courier_state::phase;

constexpr const char* actor = "node courier";

// How long a node may take to say that it knows that the run is over.
constexpr auto closing_time = std::chrono::seconds(2);

void say(pointer self, const std::string& text) {
  auto& setup = state_of(self).setup;
  send(self, setup.server, remark{setup.title + " " + text});
}

void end(pointer self) {
  self->quit(caf::exit_reason::user_shutdown);
}

std::string list_of(const std::vector<worker_id>& workers) {
  return fmt::format("worker{} {}", workers.size() == 1 ? "" : "s", fmt::join(workers, ", "));
}

/// The node takes part no more, for this reason.
void lose(pointer self, const std::string& reason) {
  auto& state = state_of(self);
  if (state.now == phase::gone) return;
  const auto before = std::exchange(state.now, phase::gone);
  state.link.end.reset();
  if (const auto& links = state.setup.run->links) links->lost(state.setup.title);
  if (before == phase::closing) return end(self);
  if (!reason.empty()) {
    say(self, "is lost: " + reason);
    // If it is there after all, it should know; otherwise this goes nowhere.
    send(self, state.setup.node, goodbye{static_cast<std::uint8_t>(farewell::failed), reason});
  }
  if (before == phase::preparing) return end(self);
  // The server may ask for a checkpoint until it has heard of this; so we stay until it answers.
  send(self, state.setup.server,
       leave_run{caf::actor_cast<caf::strong_actor_ptr>(self), state.setup.workers, false});
}

/// Null if it is settled, or of the worker's life before.
node_courier_state::open_round* find(node_courier_state& state, const update_id& id) {
  auto& rounds = state.open.at(id.worker);
  const auto found = std::find_if(rounds.begin(), rounds.end(),
                                  [&](const auto& round) { return round.given.work.id == id; });
  return found == rounds.end() ? nullptr : &*found;
}

// -- the link -----------------------------------------------------------------------------------

void hand_over(pointer self, const cargo_arrived& arrived);

/// The version of these rounds is at the node. On the virtual clock links take what is simulated.
void note_delivery(node_courier_state& state, const cargo_delivered& delivered) {
  if (!state.setup.run->on_wall_clock()) return;
  for (auto& [worker, rounds] : state.open) {
    for (auto& round : rounds) {
      if (round.transfer == delivered.transfer) round.received = delivered.took;
    }
  }
}

void carry_out(pointer self, const link_actions& actions) {
  auto& state = state_of(self);
  const auto& node = state.setup.node;
  for (const auto& action : actions) {
    if (const auto* told = std::get_if<shipping::announce>(&action)) {
      auto& round = *find(state, told->round);
      round.transfer = told->transfer;
      send(self, node, to_wire(round.given, told->transfer));
    } else if (std::holds_alternative<sign_due>(action)) {
      send(self, node, heartbeat{});
    } else if (const auto* arrived = std::get_if<cargo_arrived>(&action)) {
      hand_over(self, *arrived);
    } else if (const auto* delivered = std::get_if<cargo_delivered>(&action)) {
      note_delivery(state, *delivered);
    } else if (const auto* broken = std::get_if<link_broken>(&action)) {
      return lose(self, broken->reason);
    } else {
      if (const auto* chunk = std::get_if<transfer_chunk>(&action)) {
        state.setup.run->traffic->down += chunk->payload.size();
      }
      pass_on(self, node, action);
    }
  }
}

/// Carries out what the link makes of an event, and goes on to keep it alive.
template <class Event>
void drive(pointer self, Event event) {
  guarded(self, actor, [&] {
    auto& link = state_of(self).link;
    if (!link.end) return;
    carry_out(self, event(*link.end, link.now()));
    wake_at_deadline(self, node_courier_actor(self), link);
  });
}

/// One of a transfer's messages.
template <transfer_message M>
void receive(pointer self, const M& message) {
  drive(self, [&](link_end& link, link_time now) { return link.receive(now, message); });
}

/// An update is there with all its values: the server can have it.
void hand_over(pointer self, const cargo_arrived& arrived) {
  auto& state = state_of(self);
  auto& link = *state.link.end;
  const auto& run = *state.setup.run;
  const auto found = state.announced.extract(arrived.transfer);
  if (found) {
    auto content = std::make_shared<submission>();
    content->update = found.mapped();
    if (arrived.how == codec::f32) {
      auto delta = run.deltas->take();
      decode_update(arrived.how, run.layout, link.content(), *delta);
      content->delta = std::move(delta);
    } else {  // the server decodes it as it merges, like those of its own process
      auto encoded = run.encodings->take();
      const auto bytes = link.content();
      std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(encoded->span()).begin());
      content->encoded = std::move(encoded);
    }
    if (run.on_wall_clock()) content->took.sent = arrived.took;
    if (auto* round = find(state, content->update.id)) {
      content->took.received = round->received;
      round->update = content;
    }
    send(self, state.setup.server, submit_update{std::move(content)});
  }
  carry_out(self, link.release(state.link.now()));
}

/// What the node says of itself; the update's values follow.
void announced(pointer self, const update_announced& message) {
  auto& state = state_of(self);
  const auto update = from_wire(message);
  if (!state.open.contains(update.id.worker)) {
    return lose(self, fmt::format("it sent an update of worker {}, which is not one of its own",
                                  update.id.worker));
  }
  // Those of transfers before this one have arrived, or never will.
  state.announced.erase(state.announced.begin(), state.announced.lower_bound(message.transfer));
  const std::size_t each = state.setup.run->settings.network.overlap ? 2 : 1;
  if (state.announced.size() >= each * state.open.size()) {
    return lose(self, "it announces more updates than it has rounds");
  }
  state.announced[message.transfer] = update;
}

void told_goodbye(pointer self, const goodbye& message) {
  auto& state = state_of(self);
  switch (static_cast<farewell>(message.what)) {
    case farewell::leaving:
      if (state.now != phase::working) return lose(self, "");
      say(self, "leaves when it has handed in");
      send(self, state.setup.server,
           leave_run{caf::actor_cast<caf::strong_actor_ptr>(self), state.setup.workers, true});
      return;
    case farewell::done:
      if (state.now == phase::working) say(self, "has left");
      return lose(self, "");
    default:
      say(self, "does not go on: " + printable(message.reason));
      return lose(self, "");
  }
}

// -- the server ---------------------------------------------------------------------------------

/// The node has these from before, and need not keep them.
void let_go(pointer self, const std::vector<update_id>& rounds, fate what) {
  for (const auto& id : rounds) {
    send(self, state_of(self).setup.node,
         round_settled{id.worker, id.incarnation, id.sequence, static_cast<std::uint8_t>(what)});
  }
}

void assign(pointer self, const assign_round& round) {
  auto& state = state_of(self);
  const auto& id = round.work.id;
  auto& rounds = state.open.at(id.worker);
  if (const auto before = state.kept.extract(id.worker)) {  // it begins anew
    let_go(self, before.mapped(), fate::abandoned);
  }
  // One that goes on from what the worker has is announced with the version of the one before it,
  // and so after that.
  const auto what =
      round.base ? version_cargo(round, state.setup.run->codec_down()) : rounds.back().version;
  rounds.push_back({.given = round, .version = what, .update = nullptr});
  drive(self, [&](link_end& link, link_time now) { return link.ship(now, id, what); });
}

void settle(pointer self, const update_settled& settled) {
  auto& state = state_of(self);
  const auto& id = settled.id;
  auto& rounds = state.open.at(id.worker);
  if (std::erase_if(rounds, [&](const auto& r) { return r.given.work.id == id; }) == 0) return;
  if (!state.link.end) return;
  send(self, state.setup.node,
       round_settled{id.worker, id.incarnation, id.sequence,
                     static_cast<std::uint8_t>(settled.what)});
  drive(self, [&](link_end& link, link_time now) { return link.settled(now, id); });
}

/// For a checkpoint, from what is known here: it never waits for a machine elsewhere. What the
/// worker remembers from round to round stays there, so one that goes on from this begins anew. On
/// the virtual clock no checkpoint but the first is taken, before any round has begun.
void capture(pointer self, const capture_worker& request) {
  auto& state = state_of(self);
  auto content = std::make_shared<worker_snapshot>();
  content->worker = request.worker;
  for (const auto& open : state.open.at(request.worker)) {
    content->incarnation = open.given.work.id.incarnation;
    auto& round = content->rounds.emplace_back();
    round.work = open.given.work;
    round.steps_before = open.given.steps_before;
    if (open.update && state.setup.run->on_wall_clock()) {
      round.update = open.update->update;
      round.delta = open.update->delta;
      round.encoded = open.update->encoded;
    } else {
      round.base = open.given.base;
    }
  }
  send(self, state.setup.server, worker_captured{std::move(content)});
}

/// A worker goes on from before the server was killed. What the node has of its rounds it will hand
/// in, or has to forget; others are given to it again.
void restore(pointer self, const worker_snapshot& saved) {
  auto& state = state_of(self);
  std::vector<update_id> kept;
  if (auto before = state.kept.extract(saved.worker)) kept = std::move(before.mapped());
  std::set<update_id> there;
  for (const auto& round : saved.rounds) {
    if (std::erase(kept, round.work.id) > 0) there.insert(round.work.id);
  }
  let_go(self, kept, fate::duplicate);
  for (const auto& round : saved.rounds) {
    const assign_round given{round.work, round.base, nullptr, nullptr, round.steps_before};
    if (there.contains(round.work.id)) {
      const auto down = state.setup.run->codec_down();
      state.open.at(saved.worker)
          .push_back({.given = given,
                      .version = round.base ? version_cargo(given, down) : cargo{},
                      .update = nullptr});
    } else {
      assign(self, given);
    }
  }
}

void close(pointer self, bool resumable) {
  auto& state = state_of(self);
  if (state.now == phase::gone) return end(self);
  state.now = phase::closing;
  state.closes_at = state.link.now() + closing_time;
  send_after(self, closing_time, node_courier_actor(self), courier_tick{});
  send(self, state.setup.node,
       goodbye{static_cast<std::uint8_t>(resumable ? farewell::paused : farewell::finished), ""});
}

void tick(pointer self) {
  auto& state = state_of(self);
  if (state.closes_at && state.link.now() >= *state.closes_at) return end(self);
  if (!tick_is_due(state.link)) return;
  drive(self, [](link_end& link, link_time now) { return link.tick(now); });
}

// -- the actor ----------------------------------------------------------------------------------

void start(pointer self, node_courier_setup setup) {
  auto& state = state_of(self);
  state.setup = std::move(setup);
  for (const auto worker : state.setup.workers) state.open[worker];
  const auto& run = *state.setup.run;
  state.link.end.emplace(
      link_setting(run.settings.network, expected_updates(run.codec_up(), run.layout)),
      state.link.now());
  state.watched.watch(self, state.setup.node,
                      [self](const caf::error&) { lose(self, "the connection is gone"); });
  send(self, state.setup.node, welcome{std::move(state.setup.welcome)});
  drive(self, [](link_end& link, link_time now) { return link.tick(now); });
}

void begin(pointer self, const node_ready& ready) {
  auto& state = state_of(self);
  if (state.now != phase::preparing) return;
  std::vector<worker_life> lives;
  try {
    lives = parse_lives(ready.lives);
  } catch (const run_error& e) {
    return lose(self, e.what());
  }
  for (const auto& life : lives) {
    if (!state.open.contains(life.worker)) return lose(self, "it has a worker that is not its own");
    for (const auto sequence : life.sequences) {
      state.kept[life.worker].push_back({life.worker, life.incarnation, sequence});
    }
  }
  state.now = phase::working;
  say(self, "joins with " + list_of(state.setup.workers));
  send(self, state.setup.server,
       join_run{caf::actor_cast<caf::strong_actor_ptr>(self), state.setup.workers,
                std::move(lives)});
}

}  // namespace

node_courier_actor::behavior_type node_courier(pointer self, node_courier_setup setup) {
  guarded(self, actor, [&] { start(self, std::move(setup)); });
  return {
      [self](const assign_round& round) { guarded(self, actor, [&] { assign(self, round); }); },
      [self](const update_settled& settled) {
        guarded(self, actor, [&] { settle(self, settled); });
      },
      [self](const capture_worker& request) {
        guarded(self, actor, [&] { capture(self, request); });
      },
      [](const capture_written&) {},
      [self](const restore_worker& saved) {
        guarded(self, actor, [&] { restore(self, *saved.content); });
      },
      [self](const no_more_rounds&) {
        if (state_of(self).now == phase::gone) return end(self);
        send(self, state_of(self).setup.node,
             goodbye{static_cast<std::uint8_t>(farewell::no_more), ""});
      },
      [self](const close_gate& over) { close(self, over.resumable); },
      [self](const courier_tick&) { tick(self); },
      [self](const node_ready& ready) { begin(self, ready); },
      [self](const update_announced& message) {
        guarded(self, actor, [&] { announced(self, message); });
      },
      [self](const heartbeat& sign) {
        drive(self, [&](link_end& link, link_time now) {
          return link.receive(now, work_report{sign.steps, sign.running});
        });
        auto& state = state_of(self);
        tell_heard(state.setup.run->links.get(), state.setup.title, state.link);
      },
      [self](const goodbye& message) { told_goodbye(self, message); },
      [self](const transfer_offer& message) { receive(self, message); },
      [self](const transfer_chunk& message) {
        state_of(self).setup.run->traffic->up += message.payload.size();
        receive(self, message);
      },
      [self](const transfer_cancel& message) { receive(self, message); },
      [self](const transfer_credit& message) { receive(self, message); },
      [self](const transfer_verdict& message) { receive(self, message); },
  };
}

}  // namespace rubato
