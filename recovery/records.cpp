#include "recovery/records.hpp"

#include <fmt/format.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstring>
#include <type_traits>
#include <utility>
#include <variant>

#include "config/error.hpp"
#include "transfer/buffer_coding.hpp"

namespace rubato {
namespace {

/// A number from a file as what it stands for here.
template <class Enum>
Enum known(std::uint8_t number, std::string_view what) {
  const auto value = static_cast<Enum>(number);
  if (to_string(value) != "?") return value;
  throw run_error(fmt::format(
      "the journal has a {} of number {}, which is not known here; a newer Rubato wrote it", what,
      number));
}

// -- differences --------------------------------------------------------------------------------

template <class T>
std::string show(const T& value) {
  if constexpr (std::same_as<T, std::chrono::nanoseconds>) {
    return fmt::format("{} s", to_seconds(value));
  } else if constexpr (std::same_as<T, std::optional<std::uint32_t>>) {
    return value ? fmt::format("{}", *value) : "none";
  } else if constexpr (std::same_as<T, std::string>) {
    return fmt::format("\"{}\"", value);
  } else {
    return fmt::format("{}", value);
  }
}

template <class T>
bool same(const T& a, const T& b) {
  if constexpr (std::floating_point<T>) {
    return (std::isnan(a) && std::isnan(b)) ||
           std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
  } else {
    return a == b;
  }
}

/// Collects the first difference of two records, member by member.
template <class Record>
class comparison {
 public:
  comparison(const Record& a, const Record& b) : a_(a), b_(b) {}

  template <class Member>
  comparison& of(const char* name, Member member) {
    const auto& a = a_.*member;
    const auto& b = b_.*member;
    if (!found_ && !same(a, b)) found_ = fmt::format("{}: {} and {}", name, show(a), show(b));
    return *this;
  }
  comparison& and_of(std::optional<std::string> other) {
    if (!found_) found_ = std::move(other);
    return *this;
  }
  std::optional<std::string> first() const { return found_; }

 private:
  const Record& a_;
  const Record& b_;
  std::optional<std::string> found_;
};

std::optional<std::string> differ(const join_record& a, const join_record& b) {
  using r = join_record;
  return comparison(a, b)
      .of("worker", &r::worker)
      .of("incarnation", &r::incarnation)
      .of("time", &r::at)
      .of("node", &r::node)
      .first();
}

std::optional<std::string> differ(const fence_record& a, const fence_record& b) {
  using r = fence_record;
  return comparison(a, b)
      .of("worker", &r::worker)
      .of("incarnation", &r::incarnation)
      .of("time", &r::at)
      .first();
}

std::optional<std::string> differ(const assign_record& a, const assign_record& b) {
  using r = assign_record;
  return comparison(a, b)
      .of("worker", &r::worker)
      .of("incarnation", &r::incarnation)
      .of("sequence", &r::sequence)
      .of("base version", &r::base_version)
      .of("group", &r::group)
      .of("shard", &r::shard)
      .of("steps", &r::steps)
      .of("data position", &r::data_position)
      .of("kind", &r::kind)
      .of("handover", &r::handover)
      .of("start of the learning-rate schedule", &r::rate_start)
      .of("length of the learning-rate schedule", &r::rate_total)
      .of("warm-up of the learning-rate schedule", &r::rate_warmup)
      .of("time of assignment", &r::assigned_at)
      .of("time of the download", &r::download)
      .of("time of the steps", &r::compute)
      .of("time of the upload", &r::upload)
      .of("tokens", &r::tokens)
      .first();
}

std::optional<std::string> differ(byte_span a, byte_span b) {
  if (a.size() != b.size()) {
    return fmt::format("bytes of the update: {} and {}", a.size(), b.size());
  }
  if (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0) return {};
  std::size_t place = 0;
  while (a[place] == b[place]) ++place;
  return fmt::format("the update, from byte {} on", place);
}

std::optional<std::string> differ(const settle_record& a, const settle_record& b) {
  using r = settle_record;
  return comparison(a, b)
      .and_of(differ(a.work, b.work))
      .of("fate", &r::fate)
      .of("numbers in the update", &r::elements)
      .of("finite", &r::finite)
      .of("codec", &r::codec)
      .of("norm", &r::norm)
      .of("loss", &r::loss)
      .of("compute time", &r::compute_time)
      .of("lateness", &r::late)
      .of("version", &r::version)
      .of("staleness", &r::staleness)
      .of("weight", &r::weight)
      .of("merge", &r::merge)
      .of("group of the merge", &r::merge_group)
      .of("inner learning rate", &r::inner_lr)
      .of("time of settling", &r::settled_at)
      .of("cosine to momentum", &r::cosine_to_momentum)
      .of("cosine to others", &r::cosine_to_others)
      .and_of(differ(a.update, b.update))
      .first();
}

std::optional<std::string> differ(const note_record& a, const note_record& b) {
  return comparison(a, b).of("topic", &note_record::topic).of("text", &note_record::text).first();
}

std::optional<std::string> differ(const end_record& a, const end_record& b) {
  return comparison(a, b).of("version", &end_record::version).of("time", &end_record::at).first();
}

constexpr const char* type_names[] = {"join", "fence", "assign", "settle", "note", "end"};

}  // namespace

// -- there --------------------------------------------------------------------------------------

assign_record to_journal(const assigned_round& round) {
  const auto& work = round.work;
  assign_record record;
  record.worker = work.id.worker;
  record.incarnation = work.id.incarnation;
  record.sequence = work.id.sequence;
  record.base_version = work.base_version;
  record.group = round.start;
  record.shard = work.shard;
  record.steps = work.steps;
  record.data_position = work.data_position;
  record.kind = static_cast<std::uint8_t>(work.kind);
  record.handover = work.handover;
  record.rate_start = work.rates.start;
  record.rate_total = work.rates.total;
  record.rate_warmup = work.rates.warmup;
  record.assigned_at = work.assigned_at;
  record.download = work.timing.download;
  record.compute = work.timing.compute;
  record.upload = work.timing.upload;
  record.tokens = round.tokens;
  return record;
}

settle_record to_journal(const settled_round& round, byte_span update, codec how) {
  const auto& settled = round.record;
  settle_record record;
  record.work = to_journal(assigned_round{settled.work, round.start, settled.tokens});
  record.elements = settled.update.elements;
  record.finite = settled.update.finite;
  record.fate = static_cast<std::uint8_t>(settled.what);
  record.codec = static_cast<std::uint8_t>(how);
  record.norm = settled.update.norm;
  record.loss = settled.update.loss;
  record.compute_time = settled.update.compute_time;
  record.late = settled.update.late;
  record.version = settled.version;
  record.staleness = settled.staleness;
  record.weight = settled.weight;
  record.merge = round.merge.number;
  record.merge_group = round.merge.group;
  record.inner_lr = round.merge.inner_lr;
  record.settled_at = settled.settled_at;
  record.cosine_to_momentum = settled.cosine_to_momentum;
  record.cosine_to_others = settled.cosine_to_others;
  record.update = update;
  return record;
}

byte_span bytes_of(const parameter_layout& layout, const run_event& event) {
  if (!event.update) return {};
  if (event.how == codec::f32) return update_bytes(layout, *event.update);
  return std::as_bytes(event.update->span());
}

journal_record to_journal(const parameter_layout& layout, const run_event& event) {
  return std::visit(
      [&](const auto& what) -> journal_record {
        using kind = std::decay_t<decltype(what)>;
        if constexpr (std::same_as<kind, assigned_round>) {
          return to_journal(what);
        } else if constexpr (std::same_as<kind, settled_round>) {
          return to_journal(what, bytes_of(layout, event), event.how);
        } else {
          return what;
        }
      },
      event.what);
}

// -- and back -----------------------------------------------------------------------------------

assigned_round from_journal(const assign_record& record) {
  assigned_round round;
  auto& work = round.work;
  work.id = {record.worker, record.incarnation, record.sequence};
  work.base_version = record.base_version;
  work.shard = record.shard;
  work.data_position = record.data_position;
  work.steps = record.steps;
  work.kind = known<round_kind>(record.kind, "kind of round");
  work.handover = record.handover;
  work.rates = {record.rate_start, record.rate_total, record.rate_warmup};
  work.assigned_at = record.assigned_at;
  work.timing = {record.download, record.compute, record.upload};
  round.start = record.group;
  round.tokens = record.tokens;
  return round;
}

settled_round from_journal(const settle_record& record) {
  const auto assigned = from_journal(record.work);
  settled_round round;
  auto& settled = round.record;
  settled.work = assigned.work;
  settled.update.id = assigned.work.id;
  settled.update.base_version = assigned.work.base_version;
  settled.update.elements = record.elements;
  settled.update.finite = record.finite;
  settled.update.norm = record.norm;
  settled.update.loss = record.loss;
  settled.update.compute_time = record.compute_time;
  settled.update.late = record.late;
  settled.what = known<fate>(record.fate, "fate");
  settled.version = record.version;
  settled.staleness = record.staleness;
  settled.weight = record.weight;
  settled.tokens = assigned.tokens;
  settled.settled_at = record.settled_at;
  settled.cosine_to_momentum = record.cosine_to_momentum;
  settled.cosine_to_others = record.cosine_to_others;
  round.start = assigned.start;
  round.merge = {record.merge, record.merge_group, record.inner_lr};
  return round;
}

// -- updates ------------------------------------------------------------------------------------

byte_span update_bytes(const parameter_layout& layout, const parameter_buffer& update) {
  return std::as_bytes(update.span().first(layout.end(section::averaged)));
}

std::span<std::byte> room_for_update(const parameter_layout& layout, parameter_buffer& into,
                                     std::size_t bytes) {
  const auto room = std::as_writable_bytes(into.span().first(layout.end(section::averaged)));
  return room.size() == bytes ? room : std::span<std::byte>();
}

void read_update(const settle_record& record, const parameter_layout& layout,
                 parameter_buffer& into) {
  const update_id id{record.work.worker, record.work.incarnation, record.work.sequence};
  const auto how = find_codec(record.codec);
  if (!how) {
    throw run_error(fmt::format("{}: its update is in codec {}, which is not known here",
                                to_string(id), record.codec));
  }
  if (record.update.size() != encoded_size(*how, layout)) {
    throw run_error(fmt::format("{}: its update has {} bytes, the model's have {}", to_string(id),
                                record.update.size(), encoded_size(*how, layout)));
  }
  if (*how == codec::f32 && record.update.data() == std::as_bytes(into.span()).data()) {
    const auto local = into.span().subspan(layout.end(section::averaged));
    std::fill(local.begin(), local.end(), 0.0F);
    return;
  }
  decode_update(*how, layout, record.update, into);
}

// -- for people ---------------------------------------------------------------------------------

std::optional<std::string> difference(const journal_record& a, const journal_record& b) {
  if (a.index() != b.index()) {
    return fmt::format("type: {} and {}", type_names[a.index()], type_names[b.index()]);
  }
  return std::visit(
      [&](const auto& one) { return differ(one, std::get<std::decay_t<decltype(one)>>(b)); }, a);
}

std::string to_string(const update_id& round) {
  auto name = fmt::format("round {} of worker {}", round.sequence, round.worker);
  if (round.incarnation > 1) name += fmt::format(" in its life {}", round.incarnation);
  return name;
}

}  // namespace rubato
