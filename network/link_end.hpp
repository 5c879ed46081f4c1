// One end of a link between a node and the server: what it sends next, the transfers of both
// directions, signs of life and deadlines, as one state machine: messages and time in, actions out.
// It knows no actors and no sockets. docs/protocol.md, "Links", describes it.
//
// A link is one connection's: when that is gone, so is the link, and the next one begins anew.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "coordination/types.hpp"
#include "network/liveness.hpp"
#include "network/shipping.hpp"
#include "transfer/receiver.hpp"
#include "transfer/sender.hpp"

namespace rubato {

/// Time for a sign of life.
struct sign_due {};

/// All bytes of a transfer are there: read content(), then call release().
struct cargo_arrived {
  std::uint64_t transfer;
  content_kind kind;
  codec how;
  link_time took;  // from its offer to its last chunk
};

/// The other end has all bytes of a transfer.
struct cargo_delivered {
  std::uint64_t transfer;
  link_time took;  // from its offer to the other end's word
};

/// The link is of no use any more; nothing but silence follows.
struct link_broken {
  std::string reason;  // one line, for people
};

using link_action = std::variant<shipping::announce, transfer_offer, transfer_chunk,
                                 transfer_cancel, transfer_credit, transfer_verdict, sign_due,
                                 cargo_arrived, cargo_delivered, link_broken>;
using link_actions = std::vector<link_action>;

class link_end {
 public:
  struct setting {
    transfer_sender::setting sender;
    transfer_receiver::setting receiver;
    liveness::setting signs;
  };

  /// Throws std::invalid_argument on settings that are not as their structs say.
  link_end(setting s, link_time now);

  // -- events; each returns what is to be done, in order ----------------------------------------

  /// The round needs this on the other end.
  link_actions ship(link_time now, const update_id& round, const cargo& what);
  /// The round needs nothing any more; it may be unknown.
  link_actions settled(link_time now, const update_id& round);

  link_actions receive(link_time now, const transfer_offer& message);
  link_actions receive(link_time now, const transfer_chunk& message);
  link_actions receive(link_time now, const transfer_cancel& message);
  link_actions receive(link_time now, const transfer_credit& message);
  link_actions receive(link_time now, const transfer_verdict& message);
  /// A sign of life.
  link_actions receive(link_time now, const work_report& message);
  /// Any other message of the other end.
  void heard(link_time now) { liveness_.heard(now); }

  /// Nobody reads content() any more.
  link_actions release(link_time now);
  /// Time has come to deadline(). Calls before that do no harm.
  link_actions tick(link_time now);

  // -- state ------------------------------------------------------------------------------------

  /// When tick() must be called if nothing else happens before; never for a broken link.
  link_time deadline() const;
  byte_span content() const { return receiver_.content(); }
  const liveness& signs() const { return liveness_; }
  /// Of all transfers, since the link is there.
  const transfer_sender::counts& sent() const { return sender_.counted(); }
  const transfer_receiver::counts& received() const { return receiver_.counted(); }

 private:
  void carry_out(link_time now, const std::vector<shipping::action>& actions, link_actions& out);
  void carry_out(link_time now, const std::vector<sender_action>& actions, link_actions& out);
  void carry_out(const std::vector<receiver_action>& actions, link_actions& out);
  void finish(link_time now, const transfer_finished& end, link_actions& out);

  std::chrono::nanoseconds interval_;
  transfer_sender sender_;
  transfer_receiver receiver_;
  liveness liveness_;
  shipping shipping_;
  link_time next_sign_;
  link_time sending_since_{0};
  bool broken_ = false;
};

}  // namespace rubato
