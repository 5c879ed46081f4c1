// What goes over a link next. Rounds need contents on the other end (downwards the version that
// they start from, upwards the update that they made); rounds that need the same one share its
// transfer, and what nobody needs any more is not sent. One transfer at a time, first come, first
// served.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "bytes/bytes.hpp"
#include "coordination/types.hpp"
#include "transfer/codec.hpp"

namespace rubato {

/// Kinds of content, for expected_content: versions go down, updates go up.
enum class content_kind : std::uint8_t {
  version = 0,        // coded, for a worker that had one before
  update = 1,         // coded
  whole_version = 2,  // the whole buffer, for who has nothing, as f32
};

/// What one end has for the other. Two are the same content if they have the same owner.
struct cargo {
  std::shared_ptr<const void> owner;  // keeps the bytes alive and unchanged
  byte_span bytes;
  codec how = codec::f32;
  content_kind kind = content_kind::version;
  std::uint64_t version = 0;  // for who looks at the wire
};

class shipping {
 public:
  /// Tell the other end that the round needs the content of this transfer, which has been sent, is
  /// being sent, or is the next one to be sent. To be said before anything that comes after it in a
  /// list of actions.
  struct announce {
    update_id round;
    std::uint64_t transfer;
  };
  /// Begin this transfer.
  struct start {
    std::uint64_t transfer;
    cargo what;
  };
  /// Cancel the one that is being sent: delivered() or cancelled() will follow.
  struct cancel {};

  using action = std::variant<announce, start, cancel>;

  // -- events; each returns what is to be done, in order ----------------------------------------

  /// The round, which is new, needs this.
  std::vector<action> add(const update_id& round, const cargo& what);
  /// The round needs nothing any more; it may be unknown.
  std::vector<action> settled(const update_id& round);
  /// The current transfer has ended.
  std::vector<action> delivered();
  std::vector<action> cancelled();

  // -- state ------------------------------------------------------------------------------------

  /// Contents that have not been begun.
  std::size_t waiting() const { return waiting_.size(); }
  bool idle() const { return !current_; }

 private:
  struct parcel {
    cargo what;
    std::set<update_id> rounds;
    std::uint64_t transfer = 0;
    bool cancelling = false;
  };

  std::vector<action> next();

  std::deque<parcel> waiting_;
  std::optional<parcel> current_;
  // The other end keeps what was delivered last, until it has something newer.
  std::weak_ptr<const void> last_;
  std::uint64_t last_transfer_ = 0;
  std::uint64_t transfers_ = 0;
};

}  // namespace rubato
