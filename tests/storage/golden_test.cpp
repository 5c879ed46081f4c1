// Files that were written by earlier versions of the program, which must stay readable for ever,
// and that of today, which must not change by accident. tests/golden/README.md says how to add one.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "storage/checkpoint_reader.hpp"
#include "storage/checkpoint_writer.hpp"
#include "storage/journal_format.hpp"
#include "storage/journal_writer.hpp"
#include "tests/storage/journal_samples.hpp"
#include "tests/storage/memory_file_system.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;

namespace {

namespace fs = std::filesystem;
using std::chrono::nanoseconds;

const std::string golden = RUBATO_SOURCE_DIR "/tests/golden";
const std::string journal_folder = golden + "/journal-v1";
const std::string checkpoint_folder = golden + "/checkpoint-v1";
static_assert(segment_format.version == 1 && checkpoint_format.version == 1,
              "add golden files of the new version; keep the old ones and read them as well");

run_identity golden_run() {
  run_identity run;
  for (std::size_t i = 0; i < run.id.size(); ++i) run.id[i] = static_cast<std::byte>(0xa0 + i);
  run.created = nanoseconds(1'700'000'000'000'000'000);
  return run;
}

const std::vector<std::byte>& golden_update() {
  static const std::vector<std::byte> update = {std::byte{0}, std::byte{0x80}, std::byte{0xbf},
                                                std::byte{7}, std::byte{0xff}};
  return update;
}

assign_record golden_assignment() {
  assign_record r;
  r.worker = 3;
  r.incarnation = 2;
  r.sequence = 0x0102030405060708;
  r.base_version = 41;
  r.group = 6;
  r.shard = 1;
  r.steps = 50;
  r.data_position = 1'000'000'007;
  r.kind = 1;
  r.handover = true;
  r.rate_start = 100;
  r.rate_total = 4000;
  r.rate_warmup = 400;
  r.assigned_at = nanoseconds(29'000'000'000);
  r.download = nanoseconds(1);
  r.compute = nanoseconds(2);
  r.upload = nanoseconds(3);
  r.tokens = 204'800;
  return r;
}

settle_record golden_settlement() {
  settle_record r;
  r.work = golden_assignment();
  r.elements = 2;
  r.finite = true;
  r.fate = 0;
  r.codec = 2;
  r.norm = 0.1;
  r.loss = -0.0;
  r.compute_time = nanoseconds(12'345);
  r.late = nanoseconds(-1);
  r.version = 43;
  r.staleness = 1;
  r.weight = 0.5;
  r.merge = 42;
  r.inner_lr = 3e-4;
  r.merge_group = 0;
  r.cosine_to_others = 0.25;
  r.settled_at = nanoseconds(30'000'000'000);
  r.update = golden_update();
  return r;
}

/// In groups, the first of which ends a segment.
std::vector<std::vector<journal_record>> golden_groups() {
  return {{join_record{3, 2, nanoseconds(5), "node-a"}, golden_assignment()},
          {golden_settlement(), fence_record{3, 2, nanoseconds(31'000'000'000)}},
          {note_record{"checkpoint", "17 \xc3\xbc"}, end_record{43, nanoseconds(32'000'000'000)}}};
}

void write_journal(file_system& files, const std::string& folder) {
  journal_writer writer(files, folder, golden_run(), {200});
  for (const auto& group : golden_groups()) {
    for (const journal_record& record : group) writer.append(record);
    writer.commit();
  }
}

const file_header golden_checkpoint{golden_run(), 17, 5};

void write_checkpoint(file_system& files, const std::string& folder) {
  checkpoint_writer writer(files, folder, golden_checkpoint);
  writer.begin_section("parameters");
  writer.write(std::vector<std::byte>(100, std::byte{0x3f}));
  writer.begin_section("nothing");
  writer.begin_section("coordinator");
  writer.write(as_bytes("state"));
  writer.commit();
}

/// All files of a folder are the same in both.
void check_same(memory_file_system& now, const std::string& folder, const std::string& then) {
  const std::vector<std::string> names = now.list(folder);
  CHECK(names == posix_file_system().list(then));
  for (const std::string& name : names) {
    CHECK((now.content(folder + '/' + name) == read_bytes(then + '/' + name)));
  }
}

}  // namespace

TEST_CASE("a journal of version 1 is read") {
  const journal_content content = read_journal(posix_file_system(), journal_folder);
  std::vector<std::string> expected;
  for (const auto& group : golden_groups()) {
    for (const journal_record& record : group) expected.push_back(flat(record));
  }
  CHECK((content.records == expected));
  CHECK(content.end.run == golden_run());
  CHECK(content.end.segment == 2);
  CHECK_FALSE(content.end.torn);
}

TEST_CASE("a checkpoint of version 1 is read") {
  checkpoint_reader reader(posix_file_system(), checkpoint_path(checkpoint_folder, 17));
  CHECK(reader.header() == golden_checkpoint);
  CHECK(reader.read("parameters") == std::vector<std::byte>(100, std::byte{0x3f}));
  CHECK(reader.read("nothing").empty());
  const byte_span state = as_bytes("state");
  CHECK(reader.read("coordinator") == std::vector<std::byte>(state.begin(), state.end()));
  CHECK(reader.sections().size() == 3);
}

TEST_CASE("what is written today has the bytes of the golden files") {
  memory_file_system files;
  write_journal(files, "journal");
  check_same(files, "journal", journal_folder);
  write_checkpoint(files, "checkpoints");
  check_same(files, "checkpoints", checkpoint_folder);
}

TEST_CASE("golden files that are missing are written" * doctest::skip()) {
  fs::create_directories(golden);
  if (!fs::exists(journal_folder)) write_journal(posix_file_system(), journal_folder);
  if (!fs::exists(checkpoint_folder)) write_checkpoint(posix_file_system(), checkpoint_folder);
}
