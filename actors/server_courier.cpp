#include "actors/server_courier.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "actors/node.hpp"
#include "actors/preparer.hpp"
#include "actors/run_setup.hpp"
#include "config/error.hpp"
#include "optim/inner_optimizer.hpp"

namespace rubato {
namespace {

using namespace std::chrono_literals;

using pointer = actor_pointer<server_courier_actor, server_courier_state>;
using phase = server_courier_state::phase;

// For a connection to come about, and for the answer to a hello.
constexpr auto connecting_time = 10s;
// For the other end to notice that we have gone.
constexpr auto parting_time = 2s;

void say(pointer self, const std::string& text) {
  state_of(self).setup.say(text);
}

std::string server_name(pointer self) {
  return "the server at " + to_string(state_of(self).setup.server);
}

/// Ends everything; null: it went well.
void end(pointer self, std::exception_ptr error) {
  auto& state = state_of(self);
  state.setup.result->error = std::move(error);
  if (state.node) ask_to_exit(state.node);
  self->quit(caf::exit_reason::user_shutdown);
}

template <class Error>
void end_with(pointer self, const std::string& text) {
  end(self, std::make_exception_ptr(Error(text)));
}

void tell(pointer self, farewell what, const std::string& reason = "") {
  if (!state_of(self).peer) return;
  send(self, state_of(self).peer, goodbye{static_cast<std::uint8_t>(what), reason});
}

void forget_link(pointer self) {
  auto& state = state_of(self);
  state.link.end.reset();
  if (state.setup.links) state.setup.links->lost(server_name(self));
}

/// There is nothing more to do than to let the other end know.
void part(pointer self, farewell what, const std::string& reason, std::exception_ptr error) {
  auto& state = state_of(self);
  tell(self, what, reason);
  state.setup.result->error = std::move(error);
  state.now = phase::parting;
  forget_link(self);
  if (state.node) ask_to_exit(std::exchange(state.node, nullptr));
  send_after(self, parting_time, server_courier_actor(self), try_again{state.attempt});
}

// -- finding the server -------------------------------------------------------------------------

void greet(pointer self, const gate_actor& gate);

/// Ends lanes and workers, and forgets what they were at.
void drop_node(pointer self) {
  auto& state = state_of(self);
  if (state.node) ask_to_exit(std::exchange(state.node, nullptr));
  state.versions.reset();
  state.open.clear();
  state.lives.clear();
}

/// Nothing has come of the connection, or it is gone: begin anew after a while. In real time the
/// node goes on in the meantime, for the server may take it back as it is. On the virtual clock it
/// would begin with what it was at the start.
void retreat(pointer self, const std::string& reason) {
  auto& state = state_of(self);
  if (state.now == phase::parting) return end(self, state.setup.result->error);
  if (state.now == phase::leaving) {
    say(self, "the connection was lost before everything was handed in: " + reason);
    return end(self, nullptr);
  }
  if (!state.away_since) state.away_since = state.link.now();
  const auto limit = std::chrono::duration<double>(state.setup.network.retry_seconds);
  if (state.link.now() - *state.away_since >= limit) {
    return end_with<run_error>(
        self, fmt::format("{} could not be reached for {:.0f} s (network.retry_seconds): {}",
                          server_name(self), limit.count(), reason));
  }
  const auto wait = state.waits->next();
  say(self, fmt::format("{}: {}; trying again in {:.1f} s", server_name(self), reason,
                        std::chrono::duration<double>(wait).count()));
  if (!state.node || !state.run->on_wall_clock()) drop_node(self);
  for (const auto& [transfer, rounds] : state.waiting) {  // it has not heard of these
    for (const auto& next : rounds) state.open.erase(next.round.work.id);
  }
  state.now = phase::away;
  state.gate = nullptr;
  state.peer = nullptr;
  forget_link(self);
  state.no_more = false;
  state.newest = 0;
  state.base.reset();
  state.waiting.clear();
  send_after(self, wait, server_courier_actor(self), try_again{++state.attempt});
}

void reach_out(pointer self) {
  auto& state = state_of(self);
  state.now = phase::connecting;
  const auto attempt = state.attempt;
  const auto current = [self, attempt] {
    return state_of(self).attempt == attempt && state_of(self).now == phase::connecting;
  };
  connect<gate_actor>(
      self, state.setup.server.host, state.setup.server.port, state.setup.encrypted,
      connecting_time,
      [self, current](const gate_actor& gate) {
        if (current()) greet(self, gate);
      },
      [self, current](const std::string& reason) {
        if (current()) retreat(self, reason);
      });
}

void greet(pointer self, const gate_actor& gate) {
  auto& state = state_of(self);
  state.now = phase::greeting;
  state.gate = gate;
  const auto attempt = state.attempt;
  state.watched.watch(self, gate, [self, attempt](const caf::error&) {
    if (state_of(self).attempt == attempt) retreat(self, "the connection is gone");
  });
  send(self, gate, hello{wire_version, state.setup.version, to_text(state.setup.offer)});
  send_after(self, connecting_time, server_courier_actor(self), try_again{attempt});
}

void try_anew(pointer self, const try_again& when) {
  auto& state = state_of(self);
  if (state.now == phase::parting) return end(self, state.setup.result->error);
  if (when.attempt != state.attempt) return;
  if (state.now == phase::away) {
    reach_out(self);
  } else if (state.now == phase::greeting) {
    retreat(self, "it did not answer");
  }
}

void turned_away(pointer self, const refused& answer) {
  auto& state = state_of(self);
  if (state.now != phase::greeting) return;
  if (answer.for_good != 0) {
    return end_with<run_error>(
        self, fmt::format("{} refuses this node: {}", server_name(self), printable(answer.reason)));
  }
  retreat(self, printable(answer.reason));
}

// -- the link -----------------------------------------------------------------------------------

void take_version(pointer self, const cargo_arrived& arrived);

void carry_out(pointer self, const link_actions& actions) {
  auto& state = state_of(self);
  for (const auto& action : actions) {
    if (const auto* told = std::get_if<shipping::announce>(&action)) {
      send(self, state.peer, to_wire(state.open.at(told->round)->update, told->transfer));
    } else if (std::holds_alternative<sign_due>(action)) {
      send(self, state.peer,
           state.run ? heartbeat{state.run->activity->steps, state.run->activity->running}
                     : heartbeat{});
    } else if (const auto* arrived = std::get_if<cargo_arrived>(&action)) {
      take_version(self, *arrived);
    } else if (const auto* broken = std::get_if<link_broken>(&action)) {
      tell(self, farewell::failed, broken->reason);
      return retreat(self, broken->reason);
    } else {
      pass_on(self, state.peer, action);
    }
  }
}

/// Carries out what the link makes of an event, and goes on to keep it alive.
template <class Event>
void drive(pointer self, Event event) {
  auto& link = state_of(self).link;
  if (!link.end) return;
  carry_out(self, event(*link.end, link.now()));
  wake_at_deadline(self, server_courier_actor(self), link);
}

/// The message that is being handled comes from the other end of the link; one that comes from a
/// connection before this one is of no interest.
bool of_peer(pointer self) {
  const auto& peer = state_of(self).peer;
  return peer && sender_of(self) == caf::actor_cast<caf::strong_actor_ptr>(peer);
}

/// One of a transfer's messages.
template <transfer_message M>
void receive(pointer self, const M& message) {
  if (!of_peer(self)) return;
  drive(self, [&](link_end& link, link_time now) { return link.receive(now, message); });
}

void hand_in(pointer self, const submission& content) {
  const auto& run = *state_of(self).run;
  const auto what = update_cargo(content, run.codec_up(), run.layout);
  drive(self,
        [&](link_end& link, link_time now) { return link.ship(now, content.update.id, what); });
}

// -- taking part --------------------------------------------------------------------------------

void start_node(pointer self) {
  auto& state = state_of(self);
  drop_node(self);
  const auto lanes = std::min<std::int64_t>(state.setup.lanes,
                                            static_cast<std::int64_t>(state.offer.workers.size()));
  state.versions = std::make_unique<versions_here>(state.run->layout, state.run->codec_down());
  state.node = self->spawn(node, state.run, host_actor(server_courier_actor(self)),
                           state.offer.workers, lanes);
  const auto number = ++state.nodes;
  state.watched.watch(self, state.node, [self, number](const caf::error& reason) {
    auto& state = state_of(self);
    if (state.nodes != number || !state.node) return;
    const auto text = explain(failure_of("node", reason));
    part(self, farewell::failed, text, std::make_exception_ptr(run_error(text)));
  });
}

/// The same workers of the same run: they say what they have, and hand in what is done.
void take_up(pointer self) {
  auto& state = state_of(self);
  std::map<worker_id, worker_life> lives;
  for (const auto& [worker, incarnation] : state.lives) lives[worker] = {worker, incarnation, {}};
  for (const auto& [id, done] : state.open) lives.at(id.worker).sequences.push_back(id.sequence);
  std::vector<worker_life> all;
  for (auto& [worker, life] : lives) all.push_back(std::move(life));
  send(self, state.peer, node_ready{to_text(all)});
  for (const auto& [id, done] : state.open) {
    if (done) hand_in(self, *done);
  }
}

/// Goes to work, with the node there is if it is one for that.
void take_part(pointer self) {
  auto& state = state_of(self);
  state.now = phase::working;
  state.away_since.reset();
  state.waits->reset();
  const auto& offer = state.offer;
  const auto before = std::exchange(state.setup.offer.before, offer.workers);
  const bool same = std::exchange(state.setup.offer.run, offer.run) == offer.run;
  if (state.node && same && before == offer.workers) {
    take_up(self);
  } else {
    start_node(self);
  }
  say(self, fmt::format("taking part as worker{} {}", offer.workers.size() == 1 ? "" : "s",
                        fmt::join(offer.workers, ", ")));
}

void check_and_start(pointer self) {
  auto& state = state_of(self);
  const auto here = manifest_of(*state.run, state.setup.version);
  if (const auto what = difference(state.offer.manifest, here)) {
    return part(self, farewell::failed, *what,
                std::make_exception_ptr(run_error(fmt::format(
                    "this node does not fit the run of {}: {}", server_name(self), *what))));
  }
  take_part(self);
}

void welcomed(pointer self, const welcome& message) {
  auto& state = state_of(self);
  if (state.now != phase::greeting) return;
  state.peer = caf::actor_cast<node_courier_actor>(sender_of(self));
  state.offer = parse_run_offer(message.offer);
  state.now = phase::preparing;
  const auto attempt = state.attempt;
  state.watched.watch(self, state.peer, [self, attempt](const caf::error&) {
    if (state_of(self).attempt == attempt) retreat(self, "the connection is gone");
  });
  state.link.end.emplace(
      link_setting(state.setup.network, expected_versions(state.offer.manifest.layout)),
      state.link.now());
  drive(self, [](link_end& link, link_time now) { return link.tick(now); });
  if (state.run && state.run_settings == state.offer.settings) return check_and_start(self);
  drop_node(self);
  state.run.reset();
  state.run_settings = state.offer.settings;
  const auto preparing = self->spawn<caf::detached>(preparer, state.setup.prepare);
  send(self, preparing, prepare_run{state.offer.settings});
}

void prepared(pointer self, const run_prepared& result) {
  auto& state = state_of(self);
  // One that was ordered for a connection before this one is welcome, if it is of the same run.
  if (state.now != phase::preparing || result.settings != state.run_settings) return;
  if (result.error) {
    return part(self, farewell::failed, "the node could not prepare for the run", result.error);
  }
  state.run = result.run;
  if (state.setup.links) state.setup.links->takes_part(state.run->settings.run.name);
  check_and_start(self);
}

// -- rounds -------------------------------------------------------------------------------------

/// The version that it waited for is there, in state.base.
void begin(pointer self, server_courier_state::waiting_round next) {
  auto& state = state_of(self);
  const auto& id = next.round.work.id;
  if (state.whole) state.versions->begin(id.worker, state.base);
  state.lives[id.worker] = id.incarnation;
  if (!next.goes_on) next.round.base = state.base;
  send(self, state.node, std::move(next.round));
}

/// A round to do, from a version that is there or will be.
void assigned(pointer self, const round_assigned& message) {
  auto& state = state_of(self);
  if (!state.node) return;
  auto round = from_wire(message);
  if (state.run->on_wall_clock()) round.work.assigned_at = state.run->clock.now();
  const auto& mine = state.offer.workers;
  if (std::find(mine.begin(), mine.end(), message.worker) == mine.end()) {
    throw run_error(fmt::format("{} assigned a round to worker {}, which is not here",
                                server_name(self), message.worker));
  }
  if (round.work.handover) round.inner = std::make_shared<const inner_state>();
  state.open[round.work.id] = nullptr;
  if (state.base && state.newest == message.transfer) {
    begin(self, {std::move(round), message.goes_on != 0});
  } else {
    state.waiting[message.transfer].push_back({std::move(round), message.goes_on != 0});
  }
}

void take_version(pointer self, const cargo_arrived& arrived) {
  auto& state = state_of(self);
  auto& link = *state.link.end;
  auto rounds = state.waiting.extract(arrived.transfer);
  // Those of transfers before this one were cancelled: their rounds are settled, or will be.
  state.waiting.erase(state.waiting.begin(), state.waiting.lower_bound(arrived.transfer));
  std::vector<server_courier_state::waiting_round> waiting;
  if (rounds) waiting = std::move(rounds.mapped());
  std::erase_if(waiting,
                [&](const auto& next) { return !state.open.contains(next.round.work.id); });
  std::optional<worker_id> to;
  if (!waiting.empty()) to = waiting.front().round.work.id.worker;
  state.newest = arrived.transfer;
  state.whole = arrived.kind == content_kind::whole_version;
  state.base = state.whole ? state.versions->whole(link.content())
                           : state.versions->coded(link.content(), to);
  for (auto& next : waiting) begin(self, std::move(next));
  carry_out(self, link.release(state.link.now()));
}

void submit(pointer self, const submit_update& submit) {
  auto& state = state_of(self);
  const auto& update = submit.content->update;
  const auto found = state.open.find(update.id);
  if (found == state.open.end()) return;  // settled, or of a connection before this one
  found->second = submit.content;
  hand_in(self, *submit.content);
}

/// Goes, once that was asked for and everything is handed in.
void leave_if_done(pointer self) {
  auto& state = state_of(self);
  if (state.now != phase::leaving || !state.no_more || !state.open.empty()) return;
  say(self, "everything is handed in; leaving");
  part(self, farewell::done, "", nullptr);
}

void settled(pointer self, const round_settled& message) {
  auto& state = state_of(self);
  const update_id id{message.worker, message.incarnation, message.sequence};
  if (state.open.erase(id) == 0) return;
  if (state.node) send(self, state.node, update_settled{id, static_cast<fate>(message.what)});
  drive(self, [&](link_end& link, link_time now) { return link.settled(now, id); });
  leave_if_done(self);
}

// -- goodbyes -----------------------------------------------------------------------------------

void told_goodbye(pointer self, const goodbye& message) {
  auto& state = state_of(self);
  if (state.now == phase::parting) return;
  switch (static_cast<farewell>(message.what)) {
    case farewell::no_more:
      state.no_more = true;
      return leave_if_done(self);
    case farewell::finished:
      say(self, "the run is over");
      return part(self, farewell::done, "", nullptr);
    case farewell::paused:
      tell(self, farewell::done);
      return retreat(self, "the run was interrupted there, and may go on");
    default:
      return retreat(self, "it takes this node for lost: " + printable(message.reason));
  }
}

void stop(pointer self) {
  auto& state = state_of(self);
  if (state.now != phase::working) {
    if (state.now == phase::preparing) {
      return part(self, farewell::failed, "it was stopped before it began", nullptr);
    }
    return end(self, nullptr);
  }
  say(self, "leaving as soon as everything is handed in");
  state.now = phase::leaving;
  tell(self, farewell::leaving);
}

void start(pointer self, server_courier_setup setup) {
  auto& state = state_of(self);
  state.setup = std::move(setup);
  state.waits.emplace(std::hash<std::string>{}(state.setup.offer.instance));
  reach_out(self);
}

}  // namespace

server_courier_actor::behavior_type server_courier(pointer self, server_courier_setup setup) {
  // Whatever goes wrong here ends the program with its reason.
  const auto safely = [self](auto body) {
    try {
      body();
    } catch (...) {
      end(self, std::current_exception());
    }
  };
  safely([&] { start(self, std::move(setup)); });
  return {
      [=](const join_run&) {
        if (state_of(self).peer) {
          send(self, state_of(self).peer, node_ready{to_text(std::vector<worker_life>{})});
        }
      },
      [=](const submit_update& submitted) { safely([&] { submit(self, submitted); }); },
      [](const worker_captured&) {},
      [=](const run_prepared& result) { safely([&] { prepared(self, result); }); },
      [=](const try_again& when) { safely([&] { try_anew(self, when); }); },
      [=](const courier_tick&) {
        safely([&] {
          if (!tick_is_due(state_of(self).link)) return;
          drive(self, [](link_end& link, link_time now) { return link.tick(now); });
        });
      },
      [=](const stop_run&) { safely([&] { stop(self); }); },
      [=](const refused& answer) { safely([&] { turned_away(self, answer); }); },
      [=](const welcome& message) { safely([&] { welcomed(self, message); }); },
      [=](const round_assigned& message) {
        safely([&] {
          if (of_peer(self)) assigned(self, message);
        });
      },
      [=](const round_settled& message) {
        safely([&] {
          if (of_peer(self)) settled(self, message);
        });
      },
      [=](const heartbeat& sign) {
        safely([&] {
          if (!of_peer(self)) return;
          drive(self, [&](link_end& link, link_time now) {
            return link.receive(now, work_report{sign.steps, sign.running});
          });
          auto& state = state_of(self);
          tell_heard(state.setup.links.get(), server_name(self), state.link);
        });
      },
      [=](const goodbye& message) {
        safely([&] {
          if (of_peer(self)) told_goodbye(self, message);
        });
      },
      [=](const transfer_offer& message) { safely([&] { receive(self, message); }); },
      [=](const transfer_chunk& message) { safely([&] { receive(self, message); }); },
      [=](const transfer_cancel& message) { safely([&] { receive(self, message); }); },
      [=](const transfer_credit& message) { safely([&] { receive(self, message); }); },
      [=](const transfer_verdict& message) { safely([&] { receive(self, message); }); },
  };
}

}  // namespace rubato
