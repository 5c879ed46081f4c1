// What the couriers at both ends of a link have in common: the settings of the link, its clock, and
// the timer that keeps it going.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"
#include "monitoring/probes.hpp"
#include "network/link_end.hpp"

namespace rubato {

/// How this process talks over links, and what it takes from them.
link_end::setting link_setting(const config::network_section& network,
                               std::vector<expected_content> expected);

/// What a node takes, in whatever codec, and what it hands in.
std::vector<expected_content> expected_versions(const parameter_layout& layout);
std::vector<expected_content> expected_updates(codec up, const parameter_layout& layout);

/// What goes over a link for a round and for its update: bytes that are there, without a copy.
cargo version_cargo(const assign_round& round, codec down);
cargo update_cargo(const submission& content, codec up, const parameter_layout& layout);

/// A courier's end of its link, in its state.
struct courier_link {
  wall_clock clock;
  std::optional<link_end> end;        // while there is one
  std::optional<link_time> wakes_at;  // a courier_tick is on its way

  link_time now() const { return clock.now(); }
};

/// Tells of a sign of life from the other end, if somebody wants to know.
inline void tell_heard(link_probe* probe, const std::string& peer, const courier_link& link) {
  if (probe == nullptr || !link.end) return;
  probe->heard(peer, {link.end->sent().again, link.end->received().stalls});
}

/// Sends what is for the other end of the link; what else a link asks for is not.
template <class Self, class Peer>
void pass_on(Self* self, const Peer& peer, const link_action& action) {
  std::visit(
      [&](const auto& message) {
        if constexpr (transfer_message<std::decay_t<decltype(message)>>) send(self, peer, message);
      },
      action);
}

/// Whether it is time for the link's tick().
inline bool tick_is_due(courier_link& link) {
  if (!link.wakes_at || link.now() < *link.wakes_at) return false;
  link.wakes_at.reset();
  return link.end.has_value();
}

/// Makes sure that a courier_tick comes by the link's deadline.
template <class Self, class Handle>
void wake_at_deadline(Self* self, const Handle& courier, courier_link& link) {
  if (!link.end) return;
  const auto deadline = link.end->deadline();
  if (link.wakes_at && *link.wakes_at <= deadline) return;
  link.wakes_at = deadline;
  send_after(self, std::max(link_time{0}, deadline - link.now()), courier, courier_tick{});
}

}  // namespace rubato
