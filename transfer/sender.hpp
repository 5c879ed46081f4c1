// The sending end of a link's transfers, as a state machine: messages and time in, actions out.
// It knows no actors, no network and no real clock. docs/protocol.md draws it.
//
//   idle -- start() --> sending -- verdict, silence --> idle
//                          '-- cancel() --> cancelling -- verdict, silence --> idle
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bytes/bytes.hpp"
#include "transfer/codec.hpp"
#include "transfer/timing.hpp"
#include "transfer/wire.hpp"

namespace rubato {

/// Bytes that nobody changes any more, kept alive by whoever sends them, and their checksum: made
/// once for all receivers. Cheap to copy.
class transfer_content {
 public:
  explicit transfer_content(std::vector<std::byte> bytes);
  /// `owner` keeps `bytes` alive and unchanged.
  transfer_content(std::shared_ptr<const void> owner, byte_span bytes);

  byte_span bytes() const { return bytes_; }
  std::uint32_t checksum() const { return checksum_; }

 private:
  std::shared_ptr<const void> owner_;
  byte_span bytes_;
  std::uint32_t checksum_;
};

/// What a transfer carries; see transfer_offer.
struct transfer_label {
  std::uint64_t transfer;  // higher than all before on this link
  std::uint64_t version;
  std::uint64_t base;
  std::uint8_t kind;
  codec how;
};

/// The transfer has ended, and the sender is idle.
struct transfer_finished {
  enum class outcome : std::uint8_t {
    delivered,  // the receiver has all of it
    cancelled,  // the receiver does not have it, and never will under this name
    failed,     // likewise, because of the link; a new transfer may do better
    refused,    // likewise, because of what was offered; so will the next be
    unknown,    // no answer for too long: the receiver has it or not
  };

  std::uint64_t transfer;
  outcome what;
  std::string reason;  // one line, for people
};

using sender_action =
    std::variant<transfer_offer, transfer_chunk, transfer_cancel, transfer_finished>;

/// Sends one transfer at a time. What it says to the peer is among the actions, sealed, in order;
/// messages may be lost, doubled, late, damaged or made up. It holds the content and never a copy
/// of it: chunks are made when credit has come, at most a window of them at a time. What is sent
/// again is the same bytes. Not thread-safe.
class transfer_sender {
 public:
  struct setting {
    std::uint32_t chunk_bytes = 1 << 20;  // at most; rounded down to whole units of the codec
    /// Chunks are as small as takes this on the link, going by the transfer before, down to
    /// least_chunk_bytes. For what goes the other way at the same time shares this link with
    /// credits, and every credit waits for a window of chunks that are before it.
    transfer_time chunk_time = std::chrono::milliseconds(10);
    std::uint32_t least_chunk_bytes = 1 << 16;
    transfer_timing timing;
  };

  /// How much was sent, since construction.
  struct counts {
    std::uint64_t chunks = 0;
    std::uint64_t again = 0;  // of these, not for the first time
  };

  /// Throws std::invalid_argument on chunks that are smaller than a unit of any codec, and on bad
  /// times.
  explicit transfer_sender(setting s);

  // -- events -----------------------------------------------------------------------------------

  /// Throws std::logic_error unless idle(), std::invalid_argument on empty content.
  std::vector<sender_action> start(transfer_time now, const transfer_label& label,
                                   transfer_content content);
  /// There is something newer to send. The transfer ends when the receiver has said whether it has
  /// the content nevertheless: only then is it known what a difference may refer to. Does nothing
  /// when idle().
  std::vector<sender_action> cancel(transfer_time now);
  /// The link is there again; all that was on its way is lost, in both directions.
  std::vector<sender_action> reconnected(transfer_time now);
  std::vector<sender_action> receive(transfer_time now, const transfer_credit& credit);
  std::vector<sender_action> receive(transfer_time now, const transfer_verdict& verdict);
  /// Time has come to deadline(). Calls before that do nothing.
  std::vector<sender_action> tick(transfer_time now);

  // -- state ------------------------------------------------------------------------------------

  /// When tick() must be called if nothing else happens before.
  std::optional<transfer_time> deadline() const;
  bool idle() const { return state_ == state::idle; }
  const counts& counted() const { return counts_; }

 private:
  enum class state : std::uint8_t { idle, sending, cancelling };

  std::uint32_t chunk_bytes_for(codec how) const;
  std::vector<sender_action> finish(transfer_finished::outcome what, std::string reason);
  std::vector<sender_action> ask(bool resume) const;
  transfer_chunk chunk(std::uint32_t index) const;

  setting setting_;
  state state_ = state::idle;
  counts counts_;
  std::optional<double> bytes_per_second_;  // of the last content that was delivered

  // Of the current transfer.
  transfer_offer offer_;
  std::optional<transfer_content> content_;
  std::uint32_t chunks_ = 0;
  std::uint32_t sent_ = 0;               // those below were sent to this receiver
  std::uint32_t next_ = 0;               // as the last credit told
  std::optional<std::uint32_t> serial_;  // of the last credit since the link is there
  std::optional<transfer_time> flows_since_;
  patience patience_;
};

}  // namespace rubato
