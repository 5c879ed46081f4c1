#include <doctest/doctest.h>

#include <algorithm>

#include <fmt/format.h>

#include "storage/file_io.hpp"
#include "storage/journal_format.hpp"
#include "storage/journal_reader.hpp"
#include "storage/journal_writer.hpp"
#include "tests/storage/file_size_limit.hpp"
#include "tests/storage/journal_samples.hpp"
#include "tests/storage/memory_file_system.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace {

using strings = std::vector<std::string>;
using survival = memory_file_system::survival;

const run_identity this_run{{std::byte{1}, std::byte{2}}, std::chrono::nanoseconds(3)};

std::string segment_path(std::uint64_t number) {
  return numbered_path("journal", number, ".journal");
}

note_record note(std::string text) {
  return {"topic", std::move(text)};
}

/// A journal of notes "0", "1", ... in groups of the given sizes.
strings write_notes(file_system& files, const std::vector<int>& groups,
                    journal_options options = {}) {
  strings written;
  journal_writer writer(files, "journal", this_run, options);
  for (const int size : groups) {
    for (int i = 0; i < size; ++i) {
      const journal_record record = note(std::to_string(written.size()));
      CHECK(writer.append(record) == written.size());
      written.push_back(flat(record));
    }
    writer.commit();
    CHECK(writer.durable_before() == written.size());
  }
  return written;
}

/// Goes on where the journal ends.
journal_writer reopen(file_system& files, journal_options options = {}) {
  return {files, "journal", read_journal(files, "journal").end, options};
}

std::string refusal(file_system& files, std::optional<std::uint64_t> from = std::nullopt) {
  try {
    read_journal(files, "journal", from);
    return "no error";
  } catch (const file_error& error) {
    return error.what();
  }
}

std::string changed(std::string bytes, std::size_t place, unsigned char mask = 0xff) {
  bytes[place] = static_cast<char>(static_cast<unsigned char>(bytes[place]) ^ mask);
  return bytes;
}

std::string text_of(byte_span bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A whole record with the right checksums, whatever its header and content say.
std::string make_record(const record_header& header, std::string_view content) {
  std::string record = text_of(encode(header)) + std::string(content);
  record.append(record_tail_size(content.size()) - 4, '\0');
  std::vector<std::byte> sum;
  const byte_span bytes = as_bytes(record);
  sum.assign(bytes.begin(), bytes.end());
  seal(sum);
  return text_of(sum);
}

/// Where the records of a segment begin, and its end.
std::vector<std::size_t> record_places(const std::string& segment) {
  std::vector<std::size_t> places;
  std::size_t place = file_header::size;
  while (place < segment.size()) {
    places.push_back(place);
    std::uint64_t length = 0;
    std::copy_n(segment.data() + place, sizeof(length), reinterpret_cast<char*>(&length));
    // header 32, checksum 4, ending at a multiple of 8
    place += (32 + length + 4 + 7) / 8 * 8;
  }
  places.push_back(place);
  return places;
}

}  // namespace

// -- what is written is read --------------------------------------------------------------------

TEST_CASE("records of every type come back bit by bit, over groups, segments and reopenings") {
  const temporary_folder folder;
  memory_file_system in_memory;
  struct place {
    file_system& files;
    std::string folder;
  };
  const place places[] = {{posix_file_system(), folder.file("journal")}, {in_memory, "journal"}};
  for (const auto& [files, path] : places) {
    std::mt19937_64 random(7);
    strings written;
    const journal_options options{2000};
    auto writer = std::make_unique<journal_writer>(files, path, this_run, options);
    for (int group = 0; group < 60; ++group) {
      std::vector<sample_record> samples(1 + random() % 4);
      for (sample_record& sample : samples) {
        sample = random_record(random, group == 30 ? 1'000'000 : 300);
        const journal_record record = sample.get();
        CHECK(writer->append(record) == written.size());
        written.push_back(flat(record));
      }
      writer->commit();
      if (group % 10 == 9) {
        writer =
            std::make_unique<journal_writer>(files, path, read_journal(files, path).end, options);
      }
    }
    const journal_content content = read_journal(files, path);
    CHECK(content.first_record == 0);
    CHECK((content.records == written));
    CHECK(content.end.run == this_run);
    CHECK(content.end.next_record == written.size());
    CHECK_FALSE(content.end.torn);
    CHECK(content.end.segment > 5);
    CHECK(files.list(path).size() == content.end.segment + 1);
  }
}

TEST_CASE("a group is one sync, whatever is in it, and nothing is none") {
  memory_file_system files;
  journal_writer writer(files, "journal", this_run);
  const std::uint64_t before = files.syncs();
  for (int i = 0; i < 100; ++i) writer.append(note("x"));
  CHECK(files.syncs() == before);
  CHECK(writer.durable_before() == 0);
  writer.commit();
  CHECK(files.syncs() == before + 1);
  CHECK(writer.durable_before() == 100);
  writer.commit();
  CHECK(files.syncs() == before + 1);
}

TEST_CASE("an update is written from where it is, as it is at the commit") {
  memory_file_system files;
  journal_writer writer(files, "journal", this_run);
  std::vector<std::byte> update(1000);
  settle_record record;
  record.update = update;
  writer.append(record);
  std::fill(update.begin(), update.end(), std::byte{5});
  writer.commit();
  CHECK(read_journal(files, "journal").records == strings{flat(record)});
}

TEST_CASE("records that were not committed are not there") {
  memory_file_system files;
  const strings written = write_notes(files, {2});
  journal_writer writer = reopen(files);
  writer.append(note("lost"));
  CHECK(read_journal(files, "journal").records == written);
}

TEST_CASE("a segment ends with the group that fills it, and a group is never divided") {
  memory_file_system files;
  // A note of one letter takes 32 + 4 + 5 + 4 + 1 + 4 bytes, rounded up to 56.
  write_notes(files, {1, 1, 1, 6, 1}, {64 + 2 * 56});
  CHECK(files.content(segment_path(0)).size() == 64 + 2 * 56);
  CHECK(files.content(segment_path(1)).size() == 64 + 7 * 56);
  CHECK(files.content(segment_path(2)).size() == 64 + 56);
  CHECK(files.list("journal").size() == 3);
}

TEST_CASE("an empty journal is read as such and can be gone on with") {
  memory_file_system files;
  files.create_folder("journal");
  CHECK_FALSE(has_journal(files, "journal"));
  CHECK(refusal(files) == "cannot read journal: there is no journal in it");
  write_notes(files, {});
  CHECK(has_journal(files, "journal"));
  CHECK(read_journal(files, "journal").records.empty());
  journal_writer writer = reopen(files);
  CHECK(writer.append(note("0")) == 0);
  writer.commit();
  CHECK(read_journal(files, "journal").records == strings{flat(note("0"))});
}

TEST_CASE("a journal is not begun where there is one") {
  memory_file_system files;
  write_notes(files, {});
  CHECK_THROWS_WITH_AS(journal_writer(files, "journal", this_run),
                       "cannot begin a journal in journal: there is one already", file_error);
}

TEST_CASE("the end is not known before it is reached") {
  memory_file_system files;
  write_notes(files, {1});
  journal_reader reader(files, "journal");
  CHECK_THROWS_AS(reader.end(), std::logic_error);
  CHECK(reader.next());
  CHECK_FALSE(reader.next());
  CHECK_FALSE(reader.next());
  CHECK(reader.end().next_record == 1);
}

TEST_CASE("updates can be read to memory of the caller's, and are the same") {
  memory_file_system files;
  std::mt19937_64 random(11);
  {
    std::vector<sample_record> samples;
    for (int i = 0; i < 200; ++i) samples.push_back(random_record(random));
    journal_writer writer(files, "journal", this_run);
    for (const auto& sample : samples) writer.append(sample.get());
    writer.commit();
  }
  const auto written = read_journal(files, "journal").records;
  std::vector<std::byte> memory(200);
  std::size_t given = 0;
  const auto room = [&](std::size_t bytes) {
    if (bytes % 2 == 1) return std::span<std::byte>();  // the reader keeps it itself
    ++given;
    return std::span(memory).first(bytes);
  };
  journal_reader reader(files, "journal");
  std::size_t lent = 0;
  strings read;
  while (const auto entry = reader.next(room)) {
    read.push_back(flat(entry->content));
    const auto* settled = std::get_if<settle_record>(&entry->content);
    lent += settled != nullptr && settled->update.data() == memory.data() ? 1 : 0;
  }
  CHECK(read == written);
  CHECK(given > 5);
  CHECK(lent == given);
}

TEST_CASE("a journal can be cut off before any record that was read") {
  memory_file_system whole;
  const auto written = write_notes(whole, {1, 3, 2, 4}, {.segment_bytes = 300});
  for (std::size_t keep = 0; keep < written.size(); ++keep) {
    CAPTURE(keep);
    memory_file_system files;
    write_notes(files, {1, 3, 2, 4}, {.segment_bytes = 300});
    journal_reader reader(files, "journal");
    std::uint64_t number = 0;
    do number = reader.next()->number;
    while (number < keep);
    const auto end = reader.end_before_last();
    CHECK(end.next_record == keep);
    if (end.segment + 1 < files.list("journal").size()) continue;  // only the last is cut
    journal_writer writer(files, "journal", end);
    writer.append(note("instead"));
    writer.commit();
    auto expected = written;
    expected.resize(keep);
    expected.push_back(flat(note("instead")));
    CHECK(read_journal(files, "journal").records == expected);
  }
}

TEST_CASE("reading can begin at any record, and needs neither the segments nor content before it") {
  memory_file_system files;
  const strings written = write_notes(files, {1, 1, 1, 1, 1, 1}, {64 + 2 * 56});
  files.remove(segment_path(0));
  const std::string second = files.content(segment_path(1));
  files.set_content(segment_path(1), changed(second, 64 + 40));  // in record 2
  CHECK(refusal(files).find("the checksum of record 2 is wrong") != std::string::npos);
  for (std::uint64_t from = 3; from <= 6; ++from) {
    const journal_content content = read_journal(files, "journal", from);
    CHECK(content.first_record == from);
    CHECK((content.records == strings(written.begin() + static_cast<int>(from), written.end())));
    CHECK(content.end.next_record == 6);
  }
  CHECK(refusal(files, 1) ==
        "cannot read journal: the journal begins with record 2, but record 1 is needed");
  CHECK(refusal(files, 7) ==
        "cannot read journal: the journal ends before record 6, but a "
        "checkpoint was taken after record 6");
}

TEST_CASE("dropping leaves the segments that hold a record from there on") {
  for (std::uint64_t record = 0; record <= 7; ++record) {
    memory_file_system files;
    const strings written = write_notes(files, {1, 1, 1, 1, 1, 1}, {64 + 2 * 56});
    journal_writer writer = reopen(files);
    writer.drop_before(record);
    const std::uint64_t kept = std::min<std::uint64_t>(record / 2 * 2, 4);
    const journal_content content = read_journal(files, "journal");
    CHECK(content.first_record == kept);
    CHECK((content.records == strings(written.begin() + static_cast<int>(kept), written.end())));
    writer.append(note("more"));
    writer.commit();
    CHECK(read_journal(files, "journal").end.next_record == 7);
  }
}

// -- damage -------------------------------------------------------------------------------------

TEST_CASE("any byte changed is an error that names the place, or cuts off the last record") {
  memory_file_system files;
  const strings written = write_notes(files, {1, 1, 1, 1, 1, 1}, {64 + 2 * 56});
  const strings without_last(written.begin(), written.end() - 1);
  const std::size_t last_record = record_places(files.content(segment_path(2))).at(1);
  int cut = 0;
  for (std::uint64_t segment = 0; segment < 3; ++segment) {
    const std::string whole = files.content(segment_path(segment));
    const auto places = record_places(whole);
    for (std::size_t place = 0; place < whole.size(); ++place) {
      for (const unsigned char mask : {0x01, 0x80, 0xff}) {
        CAPTURE(segment);
        CAPTURE(place);
        files.set_content(segment_path(segment), changed(whole, place, mask));
        std::string message;
        try {
          const journal_content content = read_journal(files, "journal");
          CHECK((content.records == without_last));
          REQUIRE(content.end.torn);
          CHECK(content.end.torn->path == segment_path(2));
          CHECK(content.end.torn->offset == last_record);
          CHECK(content.end.torn->bytes == 56);
          CHECK((segment == 2 && place >= last_record));
          ++cut;
        } catch (const file_error& error) {
          message = error.what();
          CHECK_FALSE((segment == 2 && place >= last_record));
          // The place is where the header or record begins that the byte belongs to.
          const auto after = std::upper_bound(places.begin(), places.end(), place);
          const std::size_t begin = after == places.begin() ? 0 : *(after - 1);
          CHECK(message.rfind(fmt::format("cannot read {}: at byte {}: ", segment_path(segment),
                                          begin)) == 0);
        }
      }
    }
    files.set_content(segment_path(segment), whole);
  }
  CHECK(cut == 3 * 56);
}

TEST_CASE("a last segment cut at any length ends before the record that is cut") {
  memory_file_system files;
  const strings written = write_notes(files, {1, 1, 1, 1, 1}, {64 + 56});
  REQUIRE(files.list("journal").size() == 5);
  journal_writer writer = reopen(files, {10000});
  writer.append(note("5"));
  writer.append(note("6"));
  writer.commit();
  const strings all = read_journal(files, "journal").records;
  const std::string whole = files.content(segment_path(4));
  REQUIRE(whole.size() == 64 + 3 * 56);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    files.set_content(segment_path(4), whole.substr(0, length));
    if (length < 64) {
      CHECK(refusal(files) == fmt::format("cannot read {}: at byte {}: it ends within its header",
                                          segment_path(4), length));
      continue;
    }
    const journal_content content = read_journal(files, "journal");
    const std::size_t records = (length - 64) / 56;
    CHECK((content.records == strings(all.begin(), all.begin() + 4 + static_cast<int>(records))));
    CHECK(content.end.torn.has_value() == ((length - 64) % 56 != 0));
    CHECK(content.end.segment_size == 64 + 56 * records);
  }
}

TEST_CASE("a segment before the last cut at any length is an error") {
  memory_file_system files;
  write_notes(files, {2, 1}, {64 + 56});
  REQUIRE(files.list("journal").size() == 2);
  const std::string whole = files.content(segment_path(0));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    files.set_content(segment_path(0), whole.substr(0, length));
    CHECK(refusal(files) != "no error");
  }
}

TEST_CASE("the end of a journal cut off at a record is noticed by who has a checkpoint of it") {
  memory_file_system files;
  write_notes(files, {1, 1, 1});
  files.set_content(segment_path(0), files.content(segment_path(0)).substr(0, 64 + 2 * 56));
  CHECK(refusal(files) == "no error");
  CHECK(refusal(files, 2) == "no error");
  CHECK(refusal(files, 3).find("the journal ends before record 2") != std::string::npos);
}

TEST_CASE("a hole in the last group is where the journal ends, though records of it follow") {
  memory_file_system files;
  const strings written = write_notes(files, {2, 4});
  const std::string whole = files.content(segment_path(0));
  for (std::size_t hole = 2; hole < 6; ++hole) {
    for (const std::size_t place : {0, 8, 35, 55}) {
      std::string damaged = whole;
      std::fill_n(damaged.begin() + static_cast<int>(64 + hole * 56), place + 1, '\0');
      files.set_content(segment_path(0), damaged);
      const journal_content content = read_journal(files, "journal");
      CHECK(
          (content.records == strings(written.begin(), written.begin() + static_cast<int>(hole))));
      REQUIRE(content.end.torn);
      CHECK(content.end.torn->bytes == (6 - hole) * 56);
    }
  }
}

TEST_CASE("damage before the last group is an error, also where a whole record is in disorder") {
  memory_file_system files;
  write_notes(files, {2, 1});
  const std::string whole = files.content(segment_path(0));
  for (const std::size_t record : {0, 1}) {
    std::string damaged = whole;
    std::fill_n(damaged.begin() + static_cast<int>(64 + record * 56), 56, '\0');
    files.set_content(segment_path(0), damaged);
    CHECK(refusal(files) ==
          fmt::format("cannot read {}: at byte {}: the checksum of the header of record {} is "
                      "wrong, but record 2 at byte {} was written after it was durable",
                      segment_path(0), 64 + record * 56, record, 64 + 2 * 56));
  }
}

TEST_CASE("damage that a checkpoint knows to be of durable records is an error at the end, too") {
  memory_file_system files;
  write_notes(files, {1, 1});
  const std::string whole = files.content(segment_path(0));
  files.set_content(segment_path(0), changed(whole, 64 + 56));
  CHECK(refusal(files, 1) == "no error");
  CHECK(refusal(files, 2) ==
        fmt::format("cannot read {}: at byte {}: the checksum of the header of record 1 is wrong, "
                    "but a checkpoint was taken after it",
                    segment_path(0), 64 + 56));
}

TEST_CASE("a torn tail is cut off when the journal is gone on with") {
  memory_file_system files;
  strings written = write_notes(files, {1, 1});
  const std::string whole = files.content(segment_path(0));
  files.set_content(segment_path(0), whole.substr(0, whole.size() - 1));
  written.pop_back();
  {
    journal_writer writer = reopen(files);
    CHECK(files.content(segment_path(0)).size() == whole.size() - 56);
    CHECK(writer.append(note("again")) == 1);
    writer.commit();
  }
  written.push_back(flat(note("again")));
  const journal_content content = read_journal(files, "journal");
  CHECK((content.records == written));
  CHECK_FALSE(content.end.torn);
}

TEST_CASE("segments that are missing, exchanged or of another run are refused") {
  memory_file_system files;
  write_notes(files, {1, 1, 1}, {64 + 56});
  const std::string one = files.content(segment_path(1));
  files.remove(segment_path(1));
  CHECK(refusal(files) ==
        "cannot read " + segment_path(1) + ": it is missing between other segments of the journal");
  files.set_content(segment_path(1), files.content(segment_path(2)));
  CHECK(refusal(files) ==
        "cannot read " + segment_path(1) + ": at byte 0: it is segment 2 by its header");

  run_identity other = this_run;
  other.id[15] = std::byte{9};
  files.set_content(segment_path(1),
                    text_of(encode(segment_format, file_header{other, 1, 1})) + one.substr(64));
  CHECK(refusal(files) ==
        "cannot read " + segment_path(1) +
            ": at byte 0: it belongs to the run 01020000000000000000000000000009, those before it "
            "to 01020000000000000000000000000000");
  files.set_content(segment_path(1),
                    text_of(encode(segment_format, file_header{this_run, 1, 2})) + one.substr(64));
  CHECK(refusal(files) == "cannot read " + segment_path(1) +
                              ": at byte 0: it begins with record 2, but the one before it ends "
                              "at 1");
}

TEST_CASE("a record that is intact but cannot be is refused") {
  memory_file_system files;
  files.create_folder("journal");
  const std::string header = text_of(encode(segment_format, file_header{this_run, 0, 0}));
  const auto with = [&](const record_header& record, std::string_view content) {
    files.set_content(segment_path(0), header + make_record(record, content));
    return refusal(files);
  };
  const std::string at = "cannot read " + segment_path(0) + ": at byte 64: ";
  const std::string end_content(16, '\1');
  CHECK(with({16, 0, 0, record_type::end}, end_content) == "no error");
  CHECK(with({16, 1, 0, record_type::end}, end_content) ==
        at + "record 0 has a header that cannot be");
  CHECK(with({16, 0, 1, record_type::end}, end_content) ==
        at + "record 0 has a header that cannot be");
  CHECK(with({~std::uint64_t{0}, 0, 0, record_type::end}, end_content) ==
        at + "record 0 has a header that cannot be");
  CHECK(with({16, 0, 0, static_cast<record_type>(7)}, end_content) ==
        at + "record 0: records of type 7 are unknown");
  CHECK(with({15, 0, 0, record_type::end}, end_content.substr(1)) ==
        at + "record 0: it is too short");
  CHECK(with({17, 0, 0, record_type::end}, end_content + '\1') == at + "record 0: it is too long");
  CHECK(with({16, 0, 0, record_type::note}, end_content) == at + "record 0: it is too short");
  const std::string zeros(120, '\0');
  CHECK(with({120, 0, 0, record_type::assign}, zeros) == "no error");
  CHECK(with({120, 0, 0, record_type::assign}, changed(zeros, 49, 2)) ==
        at + "record 0: yes or no is neither 0 nor 1");
  CHECK(with({120, 0, 0, record_type::assign}, changed(zeros, 55)) ==
        at + "record 0: bytes that must be zero are not");
  CHECK(with({120, 0, 0, record_type::assign}, changed(zeros, 29)) ==
        at + "record 0: a number is too large");
}

TEST_CASE(
    "what looks like a later record in a torn one is no proof if it cannot be of this place") {
  // By number or by what it claims to be durable; the last one could be, and would be proof.
  const record_header later[] = {{8, 1'000'000, 2, record_type::note},
                                 {8, 2, 3, record_type::note},
                                 {8, 2, 0, record_type::note},
                                 {8, 2, 2, record_type::note}};
  for (const record_header& header : later) {
    const note_record record{"t",
                             std::string(7, ' ') + text_of(encode(header)) + std::string(100, 'x')};
    memory_file_system files;
    journal_writer writer(files, "journal", this_run);
    writer.append(record);
    writer.commit();
    const std::string segment = files.content(segment_path(0));
    REQUIRE(segment.find(text_of(encode(header))) % record_alignment == 0);
    files.set_content(segment_path(0), changed(segment, 64));
    CHECK((refusal(files) == "no error") == (&header != &later[3]));
  }
}

TEST_CASE("a length beyond the file takes no memory, and ends the journal") {
  memory_file_system files;
  files.set_content(segment_path(0),
                    text_of(encode(segment_format, file_header{this_run, 0, 0})) +
                        make_record({largest_content, 0, 0, record_type::settle}, "short"));
  const journal_content content = read_journal(files, "journal");
  CHECK(content.records.empty());
  REQUIRE(content.end.torn);
  CHECK(content.end.torn->reason == "record 0 is cut short");
}

TEST_CASE("a version of the format that is not known here is refused by number") {
  memory_file_system files;
  const file_format future{segment_format.magic, segment_format.name, 2};
  files.set_content(segment_path(0), text_of(encode(future, file_header{this_run, 0, 0})));
  CHECK(refusal(files) == "cannot read " + segment_path(0) +
                              ": at byte 0: it has version 2 of the format; this program reads 1");
}

// -- crashes ------------------------------------------------------------------------------------

namespace {

/// A run with a journal: groups of records, many segments, old ones dropped in between.
struct workload {
  std::vector<sample_record> samples;
  strings expected;
  std::uint64_t committed = 0;  // records whose commit has returned

  explicit workload(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < 16; ++i) {
      samples.push_back(random_record(random, 1500));
      expected.push_back(flat(samples.back().get()));
    }
  }

  /// Writes from the writer's next record on.
  void run(journal_writer& writer) {
    committed = writer.durable_before();
    while (writer.next_record() < samples.size()) {
      // Groups of one to three, the same ones in every run.
      do {
        writer.append(samples[writer.next_record()].get());
      } while (writer.next_record() % 7 != 0 && writer.next_record() % 3 != 0 &&
               writer.next_record() < samples.size());
      writer.commit();
      committed = writer.durable_before();
      if (committed >= 10) writer.drop_before(committed - 5);
    }
  }
};

constexpr journal_options small_segments{1200};

/// What is read must be what was written, with all that was committed.
journal_content check_prefix(memory_file_system& files, const workload& work) {
  const journal_content content = read_journal(files, "journal");
  REQUIRE(content.end.next_record >= work.committed);
  REQUIRE(content.end.next_record <= work.expected.size());
  CHECK(content.first_record <= (work.committed >= 5 ? work.committed - 5 : 0));
  CHECK(std::equal(content.records.begin(), content.records.end(),
                   work.expected.begin() + static_cast<std::ptrdiff_t>(content.first_record)));
  return content;
}

/// Begins or goes on, whatever is there, to the end.
void run_to_the_end(memory_file_system& files, workload& work) {
  files.create_folder("journal");
  if (has_journal(files, "journal")) {
    journal_writer writer(files, "journal", read_journal(files, "journal").end, small_segments);
    work.run(writer);
  } else {
    journal_writer writer(files, "journal", this_run, small_segments);
    work.run(writer);
  }
}

}  // namespace

TEST_CASE("after a crash at any operation all that was committed is there, and the run goes on") {
  int torn = 0;
  for (const survival what : {survival::nothing, survival::everything, survival::chance}) {
    for (std::uint64_t operation = 1;; ++operation) {
      CAPTURE(operation);
      memory_file_system files;
      workload work(5);
      files.fail_at(operation, memory_file_system::fault::crash);
      try {
        run_to_the_end(files, work);
        break;
      } catch (const power_cut&) {
      }
      files.restart(what, operation);
      files.create_folder("journal");
      if (!has_journal(files, "journal")) {
        CHECK(work.committed == 0);
      } else {
        torn += check_prefix(files, work).end.torn ? 1 : 0;
        // Recovery dies as well, at its first, second, ... operation.
        for (std::uint64_t again = 1; again < 6; ++again) {
          files.fail_at(again, memory_file_system::fault::crash);
          try {
            run_to_the_end(files, work);
          } catch (const power_cut&) {
          }
          files.restart(what, again);
          check_prefix(files, work);
        }
      }
      run_to_the_end(files, work);
      files.restart(survival::nothing);
      const journal_content content = check_prefix(files, work);
      CHECK(content.end.next_record == work.expected.size());
      CHECK_FALSE(content.end.torn);
    }
  }
  CHECK(torn > 5);
}

TEST_CASE("power cuts during a group leave it in any state, never the journal unreadable") {
  int torn = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    memory_file_system files;
    workload work(seed);
    files.create_folder("journal");
    std::uint64_t operations = 0;
    {
      memory_file_system other;
      run_to_the_end(other, work);
      operations = other.operations();
    }
    work.committed = 0;
    files.fail_at(2 + seed % (operations - 1), memory_file_system::fault::crash);
    try {
      run_to_the_end(files, work);
    } catch (const power_cut&) {
    }
    files.restart(survival::chance, seed);
    if (has_journal(files, "journal")) {
      torn += check_prefix(files, work).end.torn ? 1 : 0;
    } else {
      CHECK(work.committed == 0);
    }
  }
  CHECK(torn > 20);
}

TEST_CASE("a disk that fails at any operation is told, and what was committed stays valid") {
  for (const auto what :
       {memory_file_system::fault::disk_full, memory_file_system::fault::io_error}) {
    for (std::uint64_t operation = 1;; ++operation) {
      CAPTURE(operation);
      memory_file_system files;
      workload work(6);
      files.fail_at(operation, what);
      std::string message;
      try {
        run_to_the_end(files, work);
        break;
      } catch (const file_error& error) {
        message = error.what();
      }
      CHECK(message.rfind("cannot ", 0) == 0);
      CHECK(message.find(" journal") != std::string::npos);
      CHECK(message.find(what == memory_file_system::fault::disk_full
                             ? ": No space left on device"
                             : ": Input/output error") != std::string::npos);
      files.create_folder("journal");
      if (has_journal(files, "journal")) check_prefix(files, work);
      run_to_the_end(files, work);  // there is room again
      CHECK(check_prefix(files, work).end.next_record == work.expected.size());
    }
  }
}

TEST_CASE("a writer that failed is not used again") {
  memory_file_system files;
  journal_writer writer(files, "journal", this_run);
  writer.append(note("0"));
  files.fail_at(2, memory_file_system::fault::io_error);  // the sync
  CHECK_THROWS_WITH_AS(writer.commit(),
                       ("cannot sync " + segment_path(0) + ": Input/output error").c_str(),
                       file_error);
  CHECK(writer.durable_before() == 0);
  CHECK_THROWS_AS(writer.commit(), std::logic_error);
  CHECK_THROWS_AS(writer.append(note("1")), std::logic_error);
}

TEST_CASE("on a real disk that is full the journal up to there stays valid") {
  const temporary_folder folder;
  const std::string path = folder.file("journal");
  file_system& files = posix_file_system();
  journal_writer writer(files, path, this_run);
  writer.append(note("0"));
  writer.commit();
  const std::vector<std::byte> update(100'000, std::byte{1});
  settle_record record;
  record.update = update;
  writer.append(record);
  {
    const file_size_limit limit(50'000);
    CHECK_THROWS_WITH_AS(
        writer.commit(),
        ("cannot write " + numbered_path(path, 0, ".journal") + ": File too large").c_str(),
        file_error);
  }
  journal_content content = read_journal(files, path);
  CHECK(content.records == strings{flat(note("0"))});
  REQUIRE(content.end.torn);
  CHECK(content.end.torn->bytes == 50'000 - 64 - 56);
  journal_writer again(files, path, content.end);
  again.append(record);
  again.commit();
  CHECK(read_journal(files, path).records == strings{flat(note("0")), flat(record)});
}
