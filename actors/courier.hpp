// What the couriers at both ends of a link have in common: the settings of the link, its clock, and
// the timer that keeps it going.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"
#include "monitoring/probes.hpp"
#include "network/link_end.hpp"

namespace rubato {

/// How this process talks over links; it takes contents of `kind`, which are so many floats.
link_end::setting link_setting(const config::network_section& network, content_kind kind,
                               std::size_t values);

/// What goes over a link of a buffer: the first `values` floats, bit for bit, without a copy.
cargo as_cargo(const version_ptr& buffer, std::size_t values, content_kind kind,
               std::uint64_t version);

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
