// Replay and audit of run directories as they lie on the disk.
#include "tests/recovery/run_files.hpp"

#include <doctest/doctest.h>

#include "config/error.hpp"

using namespace rubato;

TEST_CASE("a run's checkpoints and its end are all reached") {
  run_files files;
  const auto o = files.replay();
  REQUIRE(o.points.size() == 4);  // three later checkpoints, and the end
  CHECK(o.all_same());
  CHECK(o.points.front().checkpoint == 1);
  CHECK(!o.points.back().checkpoint);
  CHECK(o.points.back().version == files.run.core().version());
  CHECK(o.result.finished);
  CHECK(o.result.began_at == 0);
  CHECK(o.result.updates == files.run.core().count(fate::applied));
  CHECK(o.result.layout == files.run.layout);
  CHECK(parameters_sha256(o.result.layout, o.result.parameters->span()) ==
        o.points.back().recorded);
  CHECK(audit_run(files.disk, files.directory).balances());
}

TEST_CASE("a journal whose beginning was dropped is replayed and audited from a checkpoint") {
  run_files files;
  const auto from = checkpoint_reader(files.disk, files.checkpoint(2)).header().record;
  files.write_journal(files.run.records, files.run.records.size(), from);
  REQUIRE(journal_reader(files.disk, journal_folder(files.directory)).first_record() > 0);
  const auto o = files.replay();
  CHECK(o.all_same());
  CHECK(o.result.began_at == 2);
  CHECK(o.points.size() == 2);

  const auto books = audit_run(files.disk, files.directory);
  CHECK(books.balances());
  CHECK(books.checkpoint == 2);
  CHECK(books.books.assigned().rounds ==
        files.run.core().count(fate::applied) + files.run.core().count(fate::run_ended));

  for (const std::uint64_t number : {2, 3}) std::filesystem::remove(files.checkpoint(number));
  CHECK_THROWS_AS(files.replay(), usage_error);
  CHECK_THROWS_AS(audit_run(files.disk, files.directory), run_error);
}

TEST_CASE("a journal that stops early is replayed as far as it goes") {
  run_files files;
  const auto cut = checkpoint_reader(files.disk, files.checkpoint(3)).header().record + 5;
  files.write_journal(files.run.records, cut);
  const auto o = files.replay();
  CHECK(o.all_same());
  CHECK(o.points.size() == 3);
  CHECK(!o.result.finished);
  const auto books = audit_run(files.disk, files.directory);
  CHECK(books.balances());
  CHECK(books.books.in_flight().rounds > 0);

  files.write_journal(files.run.records, cut - 6);  // before what the checkpoint is after
  CHECK_THROWS_AS(files.replay(), run_error);
}

TEST_CASE("an update that was changed shows at the next checkpoint, and at all others") {
  run_files files;
  auto records = files.run.records;
  std::vector<std::byte> other;
  for (std::size_t i = records.size() / 2; other.empty(); ++i) {
    auto* settled = std::get_if<settle_record>(&records[i]);
    if (settled == nullptr || settled->merge == 0) continue;
    other.assign(settled->update.begin(), settled->update.end());
    other[2] ^= std::byte{0x40};
    settled->update = other;
  }
  files.write_journal(records, records.size());
  const auto o = files.replay();
  REQUIRE(o.points.size() == 4);
  CHECK(o.points[0].same());
  CHECK(!o.points[2].same());
  CHECK(!o.points[3].same());
  CHECK(o.points[3].recorded != o.points[3].replayed);
}

TEST_CASE("damaged checkpoints are named, and the others still compared") {
  run_files files;
  write_bytes(files.checkpoint(2), "no checkpoint");
  auto o = files.replay();
  REQUIRE(o.points.size() == 4);
  CHECK(o.points[1].checkpoint == 2);
  CHECK(o.points[1].damage.find(files.checkpoint(2)) != std::string::npos);

  run_files::damage(files.checkpoint(0));  // the next one is as good to begin with
  o = files.replay();
  CHECK(o.result.began_at == 1);
  CHECK(o.result.skipped.size() == 1);
  CHECK(o.points.back().same());
}

TEST_CASE("a checkpoint of another run is not compared with") {
  run_files files;
  files.write_checkpoint(1, files.run.moments[3], new_run_identity());
  const auto o = files.replay();
  CHECK(o.points[0].damage.find("another run") != std::string::npos);
  CHECK(o.points.back().same());
}

TEST_CASE("what if says how far away the result is") {
  run_files files;
  auto o = files.replay({{"outer.lr", "0.7"}});  // as it was
  for (const auto& point : o.points) {
    CHECK(point.distance == 0.0);
    CHECK(point.moved > 0.0);
  }
  o = files.replay({{"outer.optimizer", "sgd"}, {"outer.lr", "0.1"}});
  CHECK(o.points.back().distance > 0.0);
  CHECK(!o.result.fresh_optimizer);  // there was nothing to forget at version 0
  std::filesystem::remove(files.checkpoint(0));
  o = files.replay({{"outer.optimizer", "sgd"}, {"outer.lr", "0.1"}});
  CHECK(o.result.fresh_optimizer);
}

TEST_CASE("the books are held against the summary") {
  run_files files;
  std::ofstream(files.file("summary.json"))
      << R"({"server_version": 1, "updates": {"applied": 2}})";
  const auto result = audit_run(files.disk, files.directory);
  CHECK(!result.balances());
  CHECK(result.books.fault_count() == 0);
  REQUIRE(result.against_summary.size() >= 2);
  CHECK(result.against_summary.front().find("summary.json: server_version is 1, but") == 0);
  write_bytes(files.file("summary.json"), "{");
  CHECK_THROWS_AS(audit_run(files.disk, files.directory), run_error);
}

TEST_CASE("a folder without a journal is refused") {
  temporary_folder empty;
  CHECK_THROWS_AS(require_journal(posix_file_system(), empty.path().string()), usage_error);
  CHECK_THROWS_AS(audit_run(posix_file_system(), empty.file("nowhere")), usage_error);
}
