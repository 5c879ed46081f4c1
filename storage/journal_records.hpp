// What a journal tells: who joined, who was fenced, which round was given out, what became of it.
// Plain data; docs/formats.md has the bytes. Values of enumerations that storage does not know
// (kind, fate, codec) are kept as numbers: who writes them gives them their meaning.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bytes/bytes.hpp"

namespace rubato {

/// The number of a record on the disk; never given another meaning.
enum class record_type : std::uint32_t {
  join = 1,
  fence = 2,
  assign = 3,
  settle = 4,
  note = 5,
  end = 6,
};

// All times are on the run's clock, since its start.

/// A worker takes part, in a new incarnation.
struct join_record {
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::chrono::nanoseconds at{0};
  std::string node;  // where it runs, for people

  bool operator==(const join_record&) const = default;
};

/// From here on nothing of this incarnation is accepted.
struct fence_record {
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::chrono::nanoseconds at{0};

  bool operator==(const fence_record&) const = default;
};

/// A round is given out. (worker, incarnation, sequence) names it for ever.
struct assign_record {
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t base_version = 0;
  std::optional<std::uint32_t> group;  // it starts from what this group has, not from the version
  std::uint32_t shard = 0;
  std::uint32_t steps = 0;
  std::uint64_t data_position = 0;  // the shard's first batch of this round
  std::uint8_t kind = 0;            // of what it brings back
  bool handover = false;            // begins with the server's optimizer state
  std::int64_t rate_start = 0;      // steps of its learning-rate schedule before it
  std::int64_t rate_total = 1;      // length of the schedule
  std::int64_t rate_warmup = 0;     // steps of warm-up in it
  std::chrono::nanoseconds assigned_at{0};
  std::chrono::nanoseconds download{0};  // as simulated, like the next two
  std::chrono::nanoseconds compute{0};
  std::chrono::nanoseconds upload{0};
  std::int64_t tokens = 0;

  bool operator==(const assign_record&) const = default;
};

/// A round has its fate. Complete in itself, so that the assign record may be long gone.
struct settle_record {
  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

  assign_record work;
  std::uint64_t elements = 0;  // numbers in the update
  bool finite = true;          // all of them
  std::uint8_t fate = 0;
  std::uint8_t codec = 0;  // of `update`
  double norm = unknown;   // L2, of the pseudo-gradient
  double loss = unknown;   // mean training loss of the round
  std::chrono::nanoseconds compute_time{0};
  std::chrono::nanoseconds late{0};
  std::uint64_t version = 0;  // after settling
  std::uint64_t staleness = 0;
  double weight = 0.0;  // what the pseudo-gradient was multiplied with
  /// Which merge it went into; 0 for none. Merges count from 1; updates of one merge are averaged,
  /// added in the order of the journal.
  std::uint64_t merge = 0;
  std::optional<std::uint32_t> merge_group;  // whose parameters came of the merge; none: a version
  double inner_lr = 0.0;                     // what the merge was given for it
  std::chrono::nanoseconds settled_at{0};
  double cosine_to_momentum = unknown;
  double cosine_to_others = unknown;
  /// The encoded pseudo-gradient; may be empty. Owned by somebody else: see journal_writer::append
  /// and journal_reader::next for how long.
  byte_span update;
};

/// Something that is worth keeping in its place in the order of things.
struct note_record {
  std::string topic;
  std::string text;

  bool operator==(const note_record&) const = default;
};

/// The run has ended as it should. Nothing follows.
struct end_record {
  std::uint64_t version = 0;
  std::chrono::nanoseconds at{0};

  bool operator==(const end_record&) const = default;
};

using journal_record =
    std::variant<join_record, fence_record, assign_record, settle_record, note_record, end_record>;

record_type type_of(const journal_record& record);

/// Appends all of the record's content to `out` but the update of a settle record, which comes last
/// and can be as large as the model; that one is returned, empty for other types.
byte_span encode(const journal_record& record, std::vector<std::byte>& out);

/// Bytes of a settle record's content before its update.
std::size_t settle_fields_size();

/// The reverse: an update is left where it is in `content`. Throws malformed_bytes if `content` is
/// not what encode() makes, or the type is unknown.
journal_record decode(record_type type, byte_span content);

}  // namespace rubato
