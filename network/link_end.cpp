#include "network/link_end.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace rubato {

link_end::link_end(setting s, link_time now)
    : interval_(s.signs.interval),
      sender_(std::move(s.sender)),
      receiver_(std::move(s.receiver)),
      liveness_(s.signs, now),
      next_sign_(now) {}

// -- what we send -------------------------------------------------------------------------------

link_actions link_end::ship(link_time now, const update_id& round, const cargo& what) {
  link_actions out;
  if (!broken_) carry_out(now, shipping_.add(round, what), out);
  return out;
}

link_actions link_end::settled(link_time now, const update_id& round) {
  link_actions out;
  if (!broken_) carry_out(now, shipping_.settled(round), out);
  return out;
}

void link_end::carry_out(link_time now, const std::vector<shipping::action>& actions,
                         link_actions& out) {
  for (const auto& action : actions) {
    if (const auto* told = std::get_if<shipping::announce>(&action)) {
      out.emplace_back(*told);
    } else if (const auto* begun = std::get_if<shipping::start>(&action)) {
      const auto& what = begun->what;
      sending_since_ = now;
      const transfer_label label{begun->transfer, what.version, 0,
                                 static_cast<std::uint8_t>(what.kind), what.how};
      carry_out(now, sender_.start(now, label, transfer_content(what.owner, what.bytes)), out);
    } else {
      carry_out(now, sender_.cancel(now), out);
    }
  }
}

void link_end::carry_out(link_time now, const std::vector<sender_action>& actions,
                         link_actions& out) {
  for (const auto& action : actions) {
    std::visit(
        [&](const auto& a) {
          if constexpr (std::is_same_v<std::decay_t<decltype(a)>, transfer_finished>) {
            finish(now, a, out);
          } else {
            out.emplace_back(a);
          }
        },
        action);
  }
}

void link_end::finish(link_time now, const transfer_finished& end, link_actions& out) {
  switch (end.what) {
    case transfer_finished::outcome::delivered:
      out.emplace_back(cargo_delivered{end.transfer, now - sending_since_});
      carry_out(now, shipping_.delivered(), out);
      return;
    case transfer_finished::outcome::cancelled:
      carry_out(now, shipping_.cancelled(), out);
      return;
    case transfer_finished::outcome::failed:
    case transfer_finished::outcome::refused:
    case transfer_finished::outcome::unknown:
      break;
  }
  // What is below does not lose anything; so it is the other end that does not do what it should.
  broken_ = true;
  out.emplace_back(link_broken{fmt::format("it did not take what was sent: {}", end.reason)});
}

// -- what we get --------------------------------------------------------------------------------

link_actions link_end::receive(link_time now, const transfer_credit& message) {
  link_actions out;
  liveness_.heard(now);
  if (!broken_) carry_out(now, sender_.receive(now, message), out);
  return out;
}

link_actions link_end::receive(link_time now, const transfer_verdict& message) {
  link_actions out;
  liveness_.heard(now);
  if (!broken_) carry_out(now, sender_.receive(now, message), out);
  return out;
}

link_actions link_end::receive(link_time now, const transfer_offer& message) {
  link_actions out;
  liveness_.heard(now);
  if (!broken_) carry_out(receiver_.receive(now, message), out);
  return out;
}

link_actions link_end::receive(link_time now, const transfer_chunk& message) {
  link_actions out;
  liveness_.heard(now);
  if (!broken_) carry_out(receiver_.receive(now, message), out);
  return out;
}

link_actions link_end::receive(link_time now, const transfer_cancel& message) {
  link_actions out;
  liveness_.heard(now);
  if (!broken_) carry_out(receiver_.receive(now, message), out);
  return out;
}

link_actions link_end::receive(link_time now, const work_report& message) {
  liveness_.heard(now, message);
  return {};
}

link_actions link_end::release(link_time now) {
  link_actions out;
  carry_out(receiver_.release(now), out);
  return out;
}

void link_end::carry_out(const std::vector<receiver_action>& actions, link_actions& out) {
  for (const auto& action : actions) {
    if (const auto* credit = std::get_if<transfer_credit>(&action)) {
      out.emplace_back(*credit);
    } else if (const auto* verdict = std::get_if<transfer_verdict>(&action)) {
      out.emplace_back(*verdict);
    } else if (const auto* arrived = std::get_if<content_arrived>(&action)) {
      const auto& offer = arrived->offer;
      out.emplace_back(cargo_arrived{offer.transfer, static_cast<content_kind>(offer.kind),
                                     static_cast<codec>(offer.codec), arrived->took});
    }
    // transfer_lost: the sender of it has the verdict, and decides.
  }
}

// -- time ---------------------------------------------------------------------------------------

link_actions link_end::tick(link_time now) {
  link_actions out;
  if (broken_) return out;
  if (now >= next_sign_) {
    next_sign_ = now + interval_;
    out.emplace_back(sign_due{});
    liveness_.tick(now);
  }
  carry_out(now, sender_.tick(now), out);
  carry_out(receiver_.tick(now), out);
  if (broken_) return out;
  if (auto reason = liveness_.verdict(now)) {
    broken_ = true;
    out.emplace_back(link_broken{*std::move(reason)});
  }
  return out;
}

link_time link_end::deadline() const {
  if (broken_) return link_time::max();
  // Every deadline of liveness is checked at the next sign, which is due soon enough.
  auto first = next_sign_;
  for (const auto& other : {sender_.deadline(), receiver_.deadline()}) {
    if (other) first = std::min(first, *other);
  }
  return first;
}

}  // namespace rubato
