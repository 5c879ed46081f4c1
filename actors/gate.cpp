#include "actors/gate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "actors/node_courier.hpp"
#include "config/error.hpp"

namespace rubato {
namespace {

using pointer = actor_pointer<gate_actor, gate_state>;

constexpr const char* actor = "gate";

void refuse(pointer self, const caf::strong_actor_ptr& node, const std::string& title,
            const std::string& reason, bool for_good) {
  auto& state = state_of(self);
  send(self, state.setup.server, remark{fmt::format("{} is refused: {}", title, reason)});
  send(self, caf::actor_cast<server_courier_actor>(node),
       refused{static_cast<std::uint8_t>(for_good ? 1 : 0), reason});
}

void see_off(pointer self, std::uint64_t number) {
  auto& state = state_of(self);
  const auto guest = state.guests.extract(number);
  state.free->give_back(guest.mapped().workers);
  if (state.closing && state.guests.empty()) self->quit(caf::exit_reason::user_shutdown);
}

void take_in(pointer self, const caf::strong_actor_ptr& node, const node_offer& offer,
             const std::string& title) {
  auto& state = state_of(self);
  const auto again = std::find_if(state.guests.begin(), state.guests.end(), [&](const auto& guest) {
    return guest.second.instance == offer.instance;
  });
  if (again != state.guests.end()) {
    // Its link is broken, though this end has not noticed.
    send(self, again->second.courier,
         goodbye{static_cast<std::uint8_t>(farewell::failed), "it has come anew"});
    return refuse(self, node, title, "the server has to forget its last connection first", false);
  }
  const auto& before = offer.run == state.setup.offer.run ? offer.before : std::vector<worker_id>{};
  const auto workers = state.free->take(offer.workers, before);
  if (workers.empty()) {
    return refuse(self, node, title,
                  fmt::format("all {} workers of the run are taken (workers.count)",
                              state.setup.run->settings.workers.count),
                  false);
  }
  auto answer = state.setup.offer;
  answer.workers = workers;
  const auto number = state.guests_ever++;
  const auto courier = self->spawn<caf::detached>(
      node_courier, node_courier_setup{state.setup.run, state.setup.server,
                                       caf::actor_cast<server_courier_actor>(node), title, workers,
                                       to_text(answer)});
  state.guests[number] = {courier, workers, offer.instance};
  state.watched.watch(self, courier, [self, number](const caf::error&) { see_off(self, number); });
}

void consider(pointer self, const caf::strong_actor_ptr& node, const hello& message,
              const std::string& address) {
  auto& state = state_of(self);
  if (state.closing) return;
  auto title = "a node at " + address;
  if (message.wire != wire_version) {
    return refuse(
        self, node, title,
        fmt::format("it speaks version {} of the protocol (rubato {}), the server version "
                    "{} (rubato {}); use the same rubato on all machines",
                    message.wire, printable(message.version), wire_version, state.setup.version),
        true);
  }
  try {
    const auto offer = parse_node_offer(message.offer);
    title = fmt::format("{} ({})", offer.name, address);
    take_in(self, node, offer, title);
  } catch (const run_error& e) {
    refuse(self, node, title, e.what(), true);
  }
}

void close(pointer self, const close_gate& over) {
  auto& state = state_of(self);
  state.closing = true;
  for (const auto& [number, guest] : state.guests) send(self, guest.courier, over);
  if (state.guests.empty()) self->quit(caf::exit_reason::user_shutdown);
}

}  // namespace

gate_actor::behavior_type gate(pointer self, gate_setup setup) {
  auto& state = state_of(self);
  state.setup = std::move(setup);
  state.free =
      std::make_unique<roster>(static_cast<worker_id>(state.setup.run->settings.workers.count));
  return {
      [self](const hello& message) {
        guarded(self, actor, [&] {
          const auto node = sender_of(self);
          if (!node) return;
          find_address(self, node, [self, node, message](const std::string& address) {
            guarded(self, actor, [&] { consider(self, node, message, address); });
          });
        });
      },
      [self](const close_gate& over) { guarded(self, actor, [&] { close(self, over); }); },
  };
}

}  // namespace rubato
