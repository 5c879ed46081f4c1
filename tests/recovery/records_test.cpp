#include "recovery/records.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "config/error.hpp"
#include "tests/recovery/little_run.hpp"
#include "transfer/buffer_coding.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Every member has a value that no other has.
settled_round full_round() {
  settled_round r;
  auto& work = r.record.work;
  work.id = {3, 2, 7};
  work.base_version = 41;
  work.shard = 5;
  work.data_position = 600;
  work.steps = 25;
  work.kind = round_kind::rescaled;
  work.handover = true;
  work.rates = {100, 2000, 30};
  work.assigned_at = 11s;
  work.timing = {12ns, 13ns, 14ns};
  r.record.update.id = work.id;
  r.record.update.base_version = 41;
  r.record.update.elements = 19;
  r.record.update.finite = false;
  r.record.update.norm = 0.1;
  r.record.update.loss = 2.5;
  r.record.update.compute_time = 15ns;
  r.record.update.late = 16ns;
  r.record.what = fate::too_stale;
  r.record.version = 44;
  r.record.staleness = 4;
  r.record.weight = 0.75;
  r.record.tokens = 3200;
  r.record.settled_at = 17s;
  r.record.cosine_to_momentum = -0.5;
  r.record.cosine_to_others = 0.25;
  r.start = 6;
  r.merge = {8, 9, 1e-3};
  return r;
}

settle_record full_record() {
  return to_journal(full_round());
}

}  // namespace

TEST_CASE("a settled round comes back from the journal's bytes as it was") {
  const auto round = full_round();
  const std::vector<float> update{1.0F, -0.0F};
  std::vector<std::byte> bytes;
  const journal_record written = to_journal(round, std::as_bytes(std::span(update)));
  const auto tail = encode(written, bytes);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  const auto record = std::get<settle_record>(decode(record_type::settle, bytes));
  const auto back = from_journal(record);

  CHECK(back.record.work == round.record.work);
  const auto& a = round.record.update;
  const auto& b = back.record.update;
  CHECK(b.id == a.id);
  CHECK(b.base_version == a.base_version);
  CHECK(b.elements == a.elements);
  CHECK(b.finite == a.finite);
  CHECK(b.norm == a.norm);
  CHECK(b.loss == a.loss);
  CHECK(b.compute_time == a.compute_time);
  CHECK(b.late == a.late);
  CHECK(back.record.what == round.record.what);
  CHECK(back.record.version == round.record.version);
  CHECK(back.record.staleness == round.record.staleness);
  CHECK(back.record.weight == round.record.weight);
  CHECK(back.record.tokens == round.record.tokens);
  CHECK(back.record.settled_at == round.record.settled_at);
  CHECK(back.record.cosine_to_momentum == round.record.cosine_to_momentum);
  CHECK(back.record.cosine_to_others == round.record.cosine_to_others);
  CHECK(back.start == round.start);
  CHECK(back.merge == round.merge);
  CHECK(!difference(to_journal(back, record.update), written));
}

TEST_CASE("an assigned round comes back as it was") {
  const assigned_round round{full_round().record.work, 6, 3200};
  const auto back = from_journal(to_journal(round));
  CHECK(back.work == round.work);
  CHECK(back.start == round.start);
  CHECK(back.tokens == round.tokens);
  CHECK(!from_journal(to_journal({round.work, {}, 0})).start);
}

TEST_CASE("every kind and fate there is comes back, and other numbers are refused") {
  auto record = full_record();
  for (std::uint8_t number = 0; to_string(static_cast<fate>(number)) != "?"; ++number) {
    record.fate = number;
    CHECK(from_journal(record).record.what == static_cast<fate>(number));
  }
  record.fate = 200;
  CHECK_THROWS_WITH_AS(
      from_journal(record),
      "the journal has a fate of number 200, which is not known here; a newer Rubato wrote it",
      run_error);
  record.fate = 0;
  record.work.kind = 3;
  CHECK_THROWS_AS(from_journal(record), run_error);
}

TEST_CASE("an update is its trainable and averaged sections, the local one comes back as zeros") {
  const auto layout = little_layout();
  const auto update = made_up(layout, {1});
  settle_record record;
  record.update = update_bytes(layout, *update);
  CHECK(record.update.size() == layout.end(section::averaged) * sizeof(float));

  parameter_buffer into(layout.size());
  std::fill(into.data(), into.data() + into.size(), 7.0F);
  read_update(record, layout, into);
  const std::size_t shared = layout.end(section::averaged);
  CHECK(std::memcmp(into.data(), update->data(), shared * sizeof(float)) == 0);
  CHECK(into.data()[shared] == 0.0F);

  const auto whole = record.update;
  record.update = whole.first(whole.size() - 1);
  CHECK_THROWS_AS(read_update(record, layout, into), run_error);
  record.update = whole;
  record.codec = 9;
  CHECK_THROWS_AS(read_update(record, layout, into), run_error);
}

TEST_CASE("an update is kept as it travelled, and read as its receiver decoded it") {
  const auto layout = little_layout();
  const auto update = made_up(layout, {1});
  parameter_buffer kept(layout.size()), bytes(encoded_floats(codec::int4, layout));
  encode_update(codec::int4, layout, *update, nullptr, kept, bytes);
  parameter_buffer expected(layout.size()), into(layout.size());
  decode_update(codec::int4, layout, std::as_bytes(bytes.span()), expected);

  auto record = to_journal(settled_round{}, std::as_bytes(bytes.span()), codec::int4);
  read_update(record, layout, into);
  CHECK(std::memcmp(into.data(), expected.data(), into.span().size_bytes()) == 0);
  record.codec = static_cast<std::uint8_t>(codec::int8);
  CHECK_THROWS_WITH_AS(read_update(record, layout, into),
                       doctest::Contains("bytes, the model's have"), run_error);
}

TEST_CASE("the difference of two records names the member and both values") {
  const auto a = full_record();
  CHECK(!difference(a, a));

  auto b = a;
  b.work.steps = 50;
  CHECK(difference(a, b) == "steps: 25 and 50");
  b = a;
  b.weight = std::nextafter(0.75, 1.0);
  CHECK(difference(a, b) == "weight: 0.75 and 0.7500000000000001");
  b = a;
  b.settled_at = 18s;
  CHECK(difference(a, b) == "time of settling: 17 s and 18 s");
  b = a;
  b.merge_group.reset();
  CHECK(difference(a, b) == "group of the merge: 9 and none");
  CHECK(difference(a, join_record{}) == "type: settle and join");

  std::vector<std::byte> one(8), other(8);
  other[5] = std::byte{1};
  b = a;
  auto c = a;
  b.update = one;
  c.update = other;
  CHECK(difference(b, c) == "the update, from byte 5 on");
  c.update = byte_span(one).first(3);
  CHECK(difference(b, c) == "bytes of the update: 8 and 3");
}

TEST_CASE("numbers that do not exist are alike, zeros of different sign are not") {
  auto a = full_record();
  auto b = a;
  a.loss = not_a_number;
  b.loss = -not_a_number;
  CHECK(!difference(a, b));
  a.loss = 0.0;
  b.loss = -0.0;
  CHECK(difference(a, b));
}

TEST_CASE("no member of a record is left out of the comparison") {
  // Each bit of the encoding that may differ must be seen: flip the low bit of every byte in turn.
  std::vector<std::byte> bytes;
  const journal_record record = full_record();
  encode(record, bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto flipped = bytes;
    flipped[i] ^= std::byte{1};
    journal_record other;
    try {
      other = decode(record_type::settle, flipped);
    } catch (const malformed_bytes&) {
      continue;  // bytes that must be zero, or a flag
    }
    CAPTURE(i);
    CHECK(difference(record, other));
  }
}
