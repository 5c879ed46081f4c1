#include "storage/journal_records.hpp"

#include <concepts>

#include <fmt/format.h>

namespace rubato {

namespace {

/// A record to be read or to be filled in.
template <class T, class Record>
concept either = std::same_as<std::remove_const_t<T>, Record>;

// The order of bytes in each record, once for both directions. A change here is a new version of
// the format.

template <class Fields>
void visit(either<join_record> auto& r, Fields&& field) {
  field(r.worker);
  field(r.incarnation);
  field(r.at);
  field(r.node);
}

template <class Fields>
void visit(either<fence_record> auto& r, Fields&& field) {
  field(r.worker);
  field(r.incarnation);
  field(r.at);
}

template <class Fields>
void visit(either<assign_record> auto& r, Fields&& field) {
  field(r.worker);
  field(r.incarnation);
  field(r.sequence);
  field(r.base_version);
  field(r.group);
  field(r.shard);
  field(r.steps);
  field(r.data_position);
  field(r.kind);
  field(r.handover);
  field.unused(6);
  field(r.rate_start);
  field(r.rate_total);
  field(r.rate_warmup);
  field(r.assigned_at);
  field(r.download);
  field(r.compute);
  field(r.upload);
  field(r.tokens);
}

template <class Fields>
void visit(either<settle_record> auto& r, Fields&& field) {
  visit(r.work, field);
  field(r.elements);
  field(r.finite);
  field(r.fate);
  field(r.codec);
  field.unused(5);
  field(r.norm);
  field(r.loss);
  field(r.compute_time);
  field(r.late);
  field(r.version);
  field(r.staleness);
  field(r.weight);
  field(r.merge);
  field(r.merge_group);
  field(r.inner_lr);
  field(r.settled_at);
  field(r.cosine_to_momentum);
  field(r.cosine_to_others);
}

template <class Fields>
void visit(either<note_record> auto& r, Fields&& field) {
  field(r.topic);
  field(r.text);
}

template <class Fields>
void visit(either<end_record> auto& r, Fields&& field) {
  field(r.version);
  field(r.at);
}

class field_writer {
 public:
  explicit field_writer(std::vector<std::byte>& out) : out_(out) {}

  void operator()(const std::string& text) { out_.put_text(text); }
  void operator()(std::chrono::nanoseconds time) { out_.put<std::int64_t>(time.count()); }
  /// One more than the number; 0 for none.
  void operator()(std::optional<std::uint32_t> number) {
    out_.put<std::uint64_t>(number ? std::uint64_t{*number} + 1 : 0);
  }
  void operator()(bool yes) { out_.put<std::uint8_t>(yes ? 1 : 0); }
  template <number_on_disk T>
  void operator()(T number) {
    out_.put(number);
  }
  void unused(std::size_t bytes) { out_.put_zeros(bytes); }

 private:
  byte_writer out_;
};

class field_reader {
 public:
  explicit field_reader(byte_span content) : content_(content) {}

  void operator()(std::string& text) { text = content_.take_text(); }
  void operator()(std::chrono::nanoseconds& time) {
    time = std::chrono::nanoseconds(content_.take<std::int64_t>());
  }
  void operator()(std::optional<std::uint32_t>& number) {
    const auto value = content_.take<std::uint64_t>();
    if (value > std::uint64_t{1} << 32) throw malformed_bytes("a number is too large");
    if (value > 0) number = static_cast<std::uint32_t>(value - 1);
  }
  void operator()(bool& yes) {
    const auto value = content_.take<std::uint8_t>();
    if (value > 1) throw malformed_bytes("yes or no is neither 0 nor 1");
    yes = value == 1;
  }
  template <number_on_disk T>
  void operator()(T& number) {
    number = content_.take<T>();
  }
  void unused(std::size_t bytes) { content_.take_zeros(bytes); }
  byte_reader& content() { return content_; }

 private:
  byte_reader content_;
};

template <class Record>
Record decode_as(byte_span content) {
  Record record;
  field_reader fields(content);
  visit(record, fields);
  if constexpr (std::is_same_v<Record, settle_record>) record.update = fields.content().take_rest();
  fields.content().finish();
  return record;
}

}  // namespace

record_type type_of(const journal_record& record) {
  struct {
    record_type operator()(const join_record&) const { return record_type::join; }
    record_type operator()(const fence_record&) const { return record_type::fence; }
    record_type operator()(const assign_record&) const { return record_type::assign; }
    record_type operator()(const settle_record&) const { return record_type::settle; }
    record_type operator()(const note_record&) const { return record_type::note; }
    record_type operator()(const end_record&) const { return record_type::end; }
  } const type;
  return std::visit(type, record);
}

byte_span encode(const journal_record& record, std::vector<std::byte>& out) {
  std::visit([&out](const auto& r) { visit(r, field_writer(out)); }, record);
  const auto* settled = std::get_if<settle_record>(&record);
  return settled != nullptr ? settled->update : byte_span();
}

std::size_t settle_fields_size() {
  static const auto size = [] {
    std::vector<std::byte> fields;
    encode(settle_record(), fields);
    return fields.size();
  }();
  return size;
}

journal_record decode(record_type type, byte_span content) {
  switch (type) {
    case record_type::join:
      return decode_as<join_record>(content);
    case record_type::fence:
      return decode_as<fence_record>(content);
    case record_type::assign:
      return decode_as<assign_record>(content);
    case record_type::settle:
      return decode_as<settle_record>(content);
    case record_type::note:
      return decode_as<note_record>(content);
    case record_type::end:
      return decode_as<end_record>(content);
  }
  throw malformed_bytes(fmt::format("records of type {} are unknown", static_cast<unsigned>(type)));
}

}  // namespace rubato
