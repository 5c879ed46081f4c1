// What happens in a run as records of its journal, and back: the meaning of the numbers that
// storage keeps without knowing them (kinds, fates, codecs). Not here: the bytes on the disk
// (storage/), and what follows from a record (replay.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "coordination/grouping.hpp"
#include "coordination/round_measures.hpp"
#include "coordination/types.hpp"
#include "optim/parameter_buffer.hpp"
#include "storage/journal_records.hpp"
#include "transfer/codec.hpp"

namespace rubato {

/// A round that was given out.
struct assigned_round {
  assignment work;
  std::optional<group_id> start;  // the group whose parameters it begins with; none: its version's
  std::int64_t tokens = 0;        // of its steps
};

/// Where an update went.
struct merge_place {
  std::uint64_t number = 0;       // merges count from 1, those of groups included; 0: into none
  std::optional<group_id> group;  // whose parameters came of it; none: the version's
  double inner_lr = 0.0;          // that the merge was given

  bool operator==(const merge_place&) const = default;
};

/// A round that has its fate. With its update it is all that replay needs.
struct settled_round {
  update_record record;
  std::optional<group_id> start;  // as in assigned_round
  merge_place merge;
};

assign_record to_journal(const assigned_round& round);
/// `update`: update_bytes(), or with another codec the bytes that travelled, of one that was
/// merged; otherwise it may be empty. It is not copied.
settle_record to_journal(const settled_round& round, byte_span update = {}, codec how = codec::f32);

/// Something that happens in a run, on its way to the journal.
struct run_event {
  std::variant<join_record, fence_record, assigned_round, settled_round, note_record, end_record>
      what;
  version_ptr update = nullptr;  // of a round that was merged, as it travelled; else null
  codec how = codec::f32;        // the update's
  std::optional<std::uint64_t> number = {};  // of its record; none: the journal gets none
  round_measures took = {};                  // of a round that was settled; not recorded
};

/// Its update as bytes, which stay where they are.
byte_span bytes_of(const parameter_layout& layout, const run_event& event);

/// The update of a settle record stays the event's.
journal_record to_journal(const parameter_layout& layout, const run_event& event);

/// The reverse, bit for bit, but for the base version that an update of fate wrong_base named: the
/// round's own stands in its place. Throw run_error for a kind or fate that is not known here.
assigned_round from_journal(const assign_record& record);
settled_round from_journal(const settle_record& record);

/// What goes into the journal of an update, in codec::f32: its trainable and averaged sections.
/// They stay where they are; `update` has at least these.
byte_span update_bytes(const parameter_layout& layout, const parameter_buffer& update);

/// For journal_reader::next: where update_bytes() of `into` are, if they are this many; or none.
std::span<std::byte> room_for_update(const parameter_layout& layout, parameter_buffer& into,
                                     std::size_t bytes);

/// Writes all of `into`: a record's update, decoded, and zeros in the local section. One that was
/// read to room_for_update() stays there.
/// Throws run_error if the codec is not known or the size is not the layout's.
void read_update(const settle_record& record, const parameter_layout& layout,
                 parameter_buffer& into);

/// The first thing in which two records differ, for people ("steps: 25 and 50"; bytes of an update
/// by their place); nothing if they are the same, bit for bit, with all NaNs alike.
std::optional<std::string> difference(const journal_record& a, const journal_record& b);

/// A round's name, for people: "round 7 of worker 3", and which life of it after the first.
std::string to_string(const update_id& round);

}  // namespace rubato
