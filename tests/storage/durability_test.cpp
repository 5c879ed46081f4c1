// What journal and checkpoints promise together: after a kill or a power cut between any two steps,
// all that was acknowledged is there, once, and the run goes on from it as if nothing had been.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "bytes/crc32c.hpp"
#include "storage/checkpoint_reader.hpp"
#include "storage/checkpoint_writer.hpp"
#include "storage/file_io.hpp"
#include "storage/journal_format.hpp"
#include "storage/journal_reader.hpp"
#include "storage/journal_writer.hpp"
#include "tests/storage/journal_samples.hpp"
#include "tests/storage/memory_file_system.hpp"

using namespace rubato;

namespace {

using survival = memory_file_system::survival;
using fault = memory_file_system::fault;

const run_identity this_run{{std::byte{1}, std::byte{2}}, std::chrono::nanoseconds(3)};

std::vector<sample_record> make_samples(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::vector<sample_record> samples;
  for (std::size_t i = 0; i < count; ++i) samples.push_back(random_record(random, 300));
  return samples;
}

/// Every byte of a path's file changed in turn, by each of a few bits.
template <class Check>
void with_each_byte_changed(memory_file_system& files, const std::string& path, Check check) {
  const std::string whole = files.content(path);
  for (std::size_t place = 0; place < whole.size(); ++place) {
    for (const int mask : {0x01, 0x10, 0x80, 0xff}) {
      CAPTURE(place);
      CAPTURE(mask);
      std::string damaged = whole;
      damaged[place] = static_cast<char>(damaged[place] ^ mask);
      files.set_content(path, damaged);
      check(place);
    }
  }
  files.set_content(path, whole);
}

/// Something that is made from the records one after the other, and would not be the same if one
/// were missing, there twice, or in another place.
struct sum_of_records {
  std::uint64_t count = 0;
  std::uint64_t checksum = 0;

  void add(const journal_record& record) {
    checksum = crc32c(as_bytes(flat(record)), static_cast<std::uint32_t>(checksum));
    ++count;
  }
  bool operator==(const sum_of_records&) const = default;
};

/// A process that journals records, acknowledges them when they are durable, and takes checkpoints,
/// after which it forgets the journal before the oldest that it keeps.
class process {
 public:
  process(memory_file_system& files, const std::vector<sample_record>& samples)
      : files_(files), samples_(samples) {}

  /// Recovers whatever is there and goes on to the end of the samples. Tells `witness`, which lives
  /// elsewhere, of each record that is acknowledged.
  void run(std::uint64_t& witness) {
    recover();
    // The samples would be written again, so that nobody would see that some were gone.
    REQUIRE(state_.count >= witness);
    while (state_.count < samples_.size()) {
      for (int i = 0; i < 2 && journal_->next_record() < samples_.size(); ++i) {
        const auto record = samples_[journal_->next_record()].get();
        journal_->append(record);
        state_.add(record);
      }
      journal_->commit();
      witness = std::max(witness, journal_->durable_before());
      if (state_.count >= checkpoint_ + 6) take_checkpoint();
    }
  }

  const sum_of_records& state() const { return state_; }

 private:
  void recover() {
    files_.create_folder("checkpoints");
    files_.create_folder("journal");
    const auto taken = restore_newest(files_, "checkpoints", [&](checkpoint_reader& file) {
      file.read("sum", std::as_writable_bytes(std::span(&state_, 1)));
    });
    checkpoint_ = state_.count;
    REQUIRE(taken.skipped.empty());
    if (!has_journal(files_, "journal")) {
      REQUIRE_FALSE(taken.header);
      journal_.emplace(files_, "journal", this_run, options);
      return;
    }
    std::optional<std::uint64_t> from;
    if (taken.header) from = taken.header->record;
    journal_reader reader(files_, "journal", from);
    REQUIRE(reader.first_record() == state_.count);
    while (const auto entry = reader.next()) state_.add(entry->content);
    journal_.emplace(files_, "journal", reader.end(), options);
  }

  void take_checkpoint() {
    checkpoint_ = state_.count;
    checkpoint_writer writer(files_, "checkpoints",
                             {this_run, checkpoint_, journal_->durable_before()});
    writer.begin_section("sum");
    writer.write(std::as_bytes(std::span(&state_, 1)));
    writer.sync();
    writer.commit();
    keep_newest(files_, "checkpoints", 2);
    const auto oldest = list_checkpoints(files_, "checkpoints").front();
    journal_->drop_before(
        checkpoint_reader(files_, checkpoint_path("checkpoints", oldest)).header().record);
  }

  static constexpr journal_options options{1000};

  memory_file_system& files_;
  const std::vector<sample_record>& samples_;
  sum_of_records state_;
  std::uint64_t checkpoint_ = 0;  // the newest one's number
  std::optional<journal_writer> journal_;
};

sum_of_records sum_of(const std::vector<sample_record>& samples) {
  sum_of_records all;
  for (const auto& sample : samples) all.add(sample.get());
  return all;
}

}  // namespace

TEST_CASE("killed between any two steps, a run goes on with all that was acknowledged, once") {
  const auto samples = make_samples(11, 22);
  const auto expected = sum_of(samples);
  for (const survival what : {survival::nothing, survival::everything, survival::chance}) {
    for (std::uint64_t operation = 1;; ++operation) {
      CAPTURE(operation);
      memory_file_system files;
      std::uint64_t witness = 0;
      bool killed = false;
      files.fail_at(operation, fault::crash);
      try {
        process(files, samples).run(witness);
      } catch (const power_cut&) {
        killed = true;
      }
      // Recovery is killed as well, at its first, second, ... step.
      for (std::uint64_t again = 1; killed && again < 8; again += 2) {
        files.restart(what, operation + again);
        files.fail_at(again, fault::crash);
        try {
          process(files, samples).run(witness);
        } catch (const power_cut&) {
        }
      }
      files.restart(what, operation);
      process last(files, samples);
      last.run(witness);
      CHECK(last.state() == expected);
      if (!killed) {
        CHECK(operation > 40);
        break;
      }
    }
  }
}

TEST_CASE("a disk that fails between any two steps leaves all that was acknowledged") {
  const auto samples = make_samples(13, 22);
  const auto expected = sum_of(samples);
  for (const fault what : {fault::disk_full, fault::io_error}) {
    for (std::uint64_t operation = 1;; ++operation) {
      CAPTURE(operation);
      memory_file_system files;
      std::uint64_t witness = 0;
      files.fail_at(operation, what);
      try {
        process(files, samples).run(witness);
        break;
      } catch (const file_error&) {
      }
      process last(files, samples);  // there is room again
      last.run(witness);
      CHECK(last.state() == expected);
    }
  }
}

TEST_CASE("any byte of a journal of all types changed is told, or cuts off the last group") {
  const auto samples = make_samples(14, 16);
  memory_file_system files;
  std::vector<std::string> expected;
  std::uint64_t last_group = 0;
  {
    journal_writer writer(files, "journal", this_run);
    for (const auto& sample : samples) {
      expected.push_back(flat(sample.get()));
      writer.append(sample.get());
      if (expected.size() % 3 != 0 && expected.size() < samples.size()) continue;
      last_group = writer.durable_before();
      writer.commit();
    }
  }
  REQUIRE(last_group == 15);
  const auto path = numbered_path("journal", 0, segment_suffix);
  int told = 0, cut = 0;
  with_each_byte_changed(files, path, [&](std::size_t) {
    try {
      const auto content = read_journal(files, "journal");
      ++cut;
      CHECK(content.end.torn);
      CHECK(content.records.size() >= last_group);
      CHECK(content.records.size() < expected.size());
      CHECK(std::equal(content.records.begin(), content.records.end(), expected.begin()));
    } catch (const file_error& error) {
      ++told;
      CHECK(std::string(error.what()).rfind("cannot read " + path + ": at byte ", 0) == 0);
    }
  });
  CHECK(told > 1000);
  CHECK(cut > 0);
}

TEST_CASE(
    "a journal of all types cut at any length gives the records before the cut, or an error") {
  const auto samples = make_samples(15, 12);
  memory_file_system files;
  std::vector<std::string> expected;
  {
    journal_writer writer(files, "journal", this_run);
    for (const auto& sample : samples) {
      expected.push_back(flat(sample.get()));
      writer.append(sample.get());
    }
    writer.commit();
  }
  const auto path = numbered_path("journal", 0, segment_suffix);
  const std::string whole = files.content(path);
  std::size_t most = 0;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    files.set_content(path, whole.substr(0, length));
    if (length < file_header::size) {
      CHECK_THROWS_AS(read_journal(files, "journal"), file_error);
      continue;
    }
    const auto content = read_journal(files, "journal");
    CHECK(content.records.size() >= most);
    most = content.records.size();
    CHECK(most < expected.size());
    CHECK(std::equal(content.records.begin(), content.records.end(), expected.begin()));
    const auto counts = content.end.segment_size + (content.end.torn ? content.end.torn->bytes : 0);
    CHECK(counts == length);
  }
  CHECK(most == expected.size() - 1);
}
