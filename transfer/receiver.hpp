// The receiving end of a link's transfers, as a state machine: messages and time in, actions out.
// It knows no actors, no network and no real clock. docs/protocol.md draws it.
//
//   idle -- offer --> receiving -- last chunk --> complete -- release() --> idle
//                         '-- cancel, damage, silence --> idle
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "transfer/codec.hpp"
#include "transfer/timing.hpp"
#include "transfer/wire.hpp"

namespace rubato {

/// Content that a receiver takes.
struct expected_content {
  std::uint8_t kind;          // a number that both ends agree on
  std::size_t values;         // floats, at least 1; the only size that is taken
  std::vector<codec> codecs;  // at least one
  std::size_t exact = 0;      // floats behind them, as f32 whatever the codec (buffer_coding.hpp)
};

/// All of it is there: read content(), then call release().
struct content_arrived {
  transfer_offer offer;
  transfer_time took;  // since it was begun
};

/// The transfer has ended without its content, for this reason.
struct transfer_lost {
  std::uint64_t transfer;
  verdict reason;
};

using receiver_action =
    std::variant<transfer_credit, transfer_verdict, content_arrived, transfer_lost>;

/// Takes one transfer at a time. What it says to the peer is among the actions, sealed, in order;
/// messages may be lost, doubled, late, damaged or made up. Memory is taken once, at construction:
/// the largest encoding of the expected contents. Not thread-safe.
class transfer_receiver {
 public:
  struct setting {
    std::vector<expected_content> expected;  // one a kind
    std::uint32_t window = 8;                // chunks on their way at most, 1 to max_window
    std::uint32_t max_chunk_bytes = 4 << 20;
    std::uint32_t damaged_limit = 8;  // so many damaged chunks in a row end a transfer, at least 1
    transfer_timing timing;
  };

  /// How often things went wrong, since construction.
  struct counts {
    std::uint64_t duplicates = 0;  // chunks that were there already
    std::uint64_t damaged = 0;     // messages of which the checksum was wrong
    std::uint64_t stalls = 0;      // times that it asked again after silence
  };

  /// Throws std::invalid_argument on settings that are not as said above.
  explicit transfer_receiver(setting s);

  // -- events -----------------------------------------------------------------------------------

  /// Accepted if it is of the expected size. One with a higher number than the current transfer
  /// supersedes that; while content waits for release(), the newest offer waits too.
  std::vector<receiver_action> receive(transfer_time now, const transfer_offer& offer);
  std::vector<receiver_action> receive(transfer_time now, const transfer_chunk& chunk);
  std::vector<receiver_action> receive(transfer_time now, const transfer_cancel& cancel);
  /// Time has come to deadline(). Calls before that do nothing.
  std::vector<receiver_action> tick(transfer_time now);
  /// Nobody reads content() any more. Throws std::logic_error unless it is complete().
  std::vector<receiver_action> release(transfer_time now);

  // -- state ------------------------------------------------------------------------------------

  /// When tick() must be called if nothing else happens before.
  std::optional<transfer_time> deadline() const;
  bool complete() const { return state_ == state::complete; }
  /// The bytes of the content that has arrived, valid and unchanged until release(), for other
  /// threads too. Empty unless complete().
  byte_span content() const;
  const counts& counted() const { return counts_; }

 private:
  enum class state : std::uint8_t { idle, receiving, complete };

  struct refusal {
    verdict reason;
    std::uint64_t expected = 0;
  };

  std::optional<refusal> refuse(const transfer_offer& offer) const;
  std::vector<receiver_action> begin(transfer_time now, const transfer_offer& offer);
  std::vector<receiver_action> fail(verdict reason);
  std::vector<receiver_action> complete_content(transfer_time now);
  void store(transfer_time now, const transfer_chunk& chunk);
  transfer_credit credit(std::uint64_t again);
  bool has(std::uint32_t index) const;
  std::uint64_t gaps() const;
  std::uint64_t missing() const;
  std::uint64_t chunk_offset(std::uint32_t index) const;
  std::uint32_t credit_step() const { return (setting_.window + 3) / 4; }

  setting setting_;
  std::vector<std::byte> buffer_;
  state state_ = state::idle;
  std::optional<transfer_offer> waiting_;    // for release()
  std::optional<transfer_verdict> settled_;  // of the newest transfer that has ended
  counts counts_;

  // Of the current transfer.
  transfer_offer offer_;
  transfer_time begun_{0};
  std::uint32_t chunks_ = 0;
  std::uint32_t next_ = 0;     // all below are there
  std::uint64_t beyond_ = 0;   // bit i: next_ + i is there; bit 0 never
  std::uint32_t limit_ = 0;    // told to the sender
  std::uint32_t serial_ = 0;   // of the last credit; goes on over all transfers
  std::uint32_t checked_ = 0;  // content checksum so far, of the chunks below next_
  std::uint32_t damaged_in_a_row_ = 0;
  transfer_time last_arrival_{0};
  transfer_time recent_gap_{0};  // between arrivals: the longest, slowly forgotten
  patience patience_;
};

}  // namespace rubato
