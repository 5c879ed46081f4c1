// The journal of a run that is going on, and that of one that goes on after a kill. The runs are
// small ones without actors.
#include "recovery/run_journal.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "config/error.hpp"
#include "recovery/history.hpp"
#include "recovery/journal_tail.hpp"
#include "storage/journal_reader.hpp"
#include "tests/recovery/run_files.hpp"

using namespace rubato;

namespace {

using event_list = std::vector<run_event>;

/// A record of a little run as the event that it is of.
run_event event_of(const parameter_layout& layout, std::uint64_t number,
                   const journal_record& record) {
  run_event event{.what = note_record{}, .number = number};
  if (const auto* work = std::get_if<assign_record>(&record)) {
    event.what = from_journal(*work);
  } else if (const auto* settled = std::get_if<settle_record>(&record)) {
    event.what = from_journal(*settled);
    if (!settled->update.empty()) {
      auto update = std::make_shared<parameter_buffer>(layout.size());
      read_update(*settled, layout, *update);
      event.update = std::move(update);
    }
  } else if (const auto* join = std::get_if<join_record>(&record)) {
    event.what = *join;
  } else if (const auto* fence = std::get_if<fence_record>(&record)) {
    event.what = *fence;
  } else if (const auto* end = std::get_if<end_record>(&record)) {
    event.what = *end;
  }
  return event;
}

struct fixture {
  fixture() { std::filesystem::create_directory(directory); }

  std::shared_ptr<const event_list> events(std::size_t begin, std::size_t end) const {
    event_list list;
    for (std::size_t i = begin; i < end; ++i) {
      list.push_back(event_of(run.layout, i, run.records[i]));
    }
    return std::make_shared<const event_list>(std::move(list));
  }

  /// How many records of the run the journal has; none may differ.
  std::size_t same_records() {
    journal_reader reader(disk, journal_folder(directory));
    std::size_t count = 0;
    while (const auto entry = reader.next()) {
      REQUIRE(entry->number == count);
      CHECK_FALSE(difference(entry->content, run.records.at(count)).has_value());
      count += 1;
    }
    return count;
  }

  file_system& disk = posix_file_system();
  temporary_folder folder;
  std::string directory = folder.file("run");
  run_identity identity = new_run_identity();
  little_run run{little_config()};
};

}  // namespace

TEST_CASE_FIXTURE(fixture,
                  "what happens is in the journal once it is committed, and in the books") {
  run_journal journal(disk, directory, run.layout);
  CHECK(journal.durable_before() == 0);
  journal.begin(identity);
  journal.add(events(0, 40));
  CHECK(journal.pending_bytes() > 0);
  CHECK(same_records() == 0);
  journal.commit();
  CHECK(journal.pending_bytes() == 0);
  CHECK(journal.durable_before() == 40);
  CHECK(same_records() == 40);
  journal.add(events(40, run.records.size()));
  journal.commit();
  CHECK(same_records() == run.records.size());

  ledger books;
  for (std::size_t i = 0; i < run.records.size(); ++i) books.add(i, run.records[i]);
  CHECK(journal.books() == books.state());
  CHECK(books.fault_count() == 0);

  SUBCASE("and a second one is not begun there") {
    CHECK_THROWS_AS(run_journal(disk, directory, run.layout).begin(identity), file_error);
  }
}

TEST_CASE_FIXTURE(fixture, "an event without a number leaves no trace in the journal") {
  run_journal journal(disk, directory, run.layout);
  journal.begin(identity);
  auto list = *events(0, 10);
  list.push_back(event_of(run.layout, 10, run.records[10]));
  list.back().number.reset();
  journal.add(std::make_shared<const event_list>(list));
  journal.commit();
  CHECK(same_records() == 10);
}

TEST_CASE_FIXTURE(fixture, "a run that goes on enters again what is there, and appends the rest") {
  const std::size_t checkpoint = 30, killed = 50;
  nlohmann::json books;
  {
    run_journal journal(disk, directory, run.layout);
    journal.begin(identity);
    journal.add(events(0, checkpoint));
    books = journal.books();
    journal.add(events(checkpoint, killed));
    journal.commit();
  }
  const auto extent = mend_journal(disk, directory, {identity, 1, checkpoint});
  CHECK(extent.end.next_record == killed);
  CHECK(extent.last == time_of(run.records[killed - 1]));

  run_journal journal(disk, directory, run.layout);
  journal.restore(books);
  journal.add(events(checkpoint, 40));  // before it is known where it ends
  CHECK(journal.durable_before() == 0);
  journal.go_on(extent.end);
  CHECK(journal.durable_before() == killed);
  journal.add(events(40, run.records.size()));
  journal.commit();
  CHECK(same_records() == run.records.size());
  ledger expected;
  for (std::size_t i = 0; i < run.records.size(); ++i) expected.add(i, run.records[i]);
  CHECK(journal.books() == expected.state());

  SUBCASE("but not of another run") {
    CHECK_THROWS_WITH_AS(mend_journal(disk, directory, {new_run_identity(), 1, checkpoint}),
                         doctest::Contains("it is of another run than the checkpoint"), file_error);
  }
}

TEST_CASE_FIXTURE(fixture, "the tail is what comes after the checkpoint, but for notes") {
  run_journal journal(disk, directory, run.layout);
  journal.begin(identity);
  journal.add(events(0, 30));
  journal.add(std::make_shared<const event_list>(
      event_list{{.what = note_record{"topic", "text"}, .number = 30}}));
  journal.commit();
  const auto extent = mend_journal(disk, directory, {identity, 1, 20});

  journal_tail tail(disk, directory, run.layout, 20, extent.end);
  REQUIRE(tail.next(9) != nullptr);
  CHECK(tail.next(9)->number == 29);
  CHECK(tail.next(10) == nullptr);
  for (std::uint64_t number = 20; number < 30; ++number) {
    REQUIRE(tail.next() != nullptr);
    CHECK(tail.next()->number == number);
    CHECK(tail.next()->before.next_record == number);
    CHECK(tail.check(run.records[number]) == number);
  }
  CHECK(tail.next() == nullptr);
  CHECK(tail.end().next_record == 31);
}

TEST_CASE_FIXTURE(fixture, "what comes out otherwise than in the tail is named") {
  run_journal journal(disk, directory, run.layout);
  journal.begin(identity);
  journal.add(events(0, 40));
  journal.commit();
  const auto extent = mend_journal(disk, directory, {identity, 1, 0});
  std::size_t merged = 0;
  while (!std::holds_alternative<settle_record>(run.records[merged])) ++merged;
  const auto check = [&](const journal_record& again) {
    journal_tail tail(disk, directory, run.layout, merged, extent.end);
    return tail.check(again);
  };
  auto record = std::get<settle_record>(run.records[merged]);
  CHECK(check(record) == merged);
  record.cosine_to_others = 0.5;  // a measurement that only one of the two made
  CHECK(check(record) == merged);
  record.work.steps += 1;
  CHECK_THROWS_WITH_AS(check(record), doctest::Contains("steps: 10 and 11"), run_error);
  CHECK_THROWS_WITH_AS(
      check(record),
      doctest::Contains(("record " + std::to_string(merged) + " of the journal").c_str()),
      run_error);
  record = std::get<settle_record>(run.records[merged]);
  std::vector<std::byte> other(record.update.begin(), record.update.end());
  other[9] ^= std::byte{1};
  record.update = other;
  CHECK_THROWS_WITH_AS(check(record), doctest::Contains("the update, from byte 9 on"), run_error);
  CHECK_THROWS_WITH_AS(check(run.records[0]), doctest::Contains("type: settle and join"),
                       run_error);
}

TEST_CASE("only the tail stays, of the checkpoints that are there") {
  run_files files;
  const auto first = [&] {
    return journal_reader(files.disk, journal_folder(files.directory)).first_record();
  };
  run_journal journal(files.disk, files.directory, files.run.layout);
  journal_reader reader(files.disk, journal_folder(files.directory));
  while (reader.next()) {
  }
  journal.go_on(reader.end());
  journal.keep_tail();
  CHECK(first() == 0);  // checkpoint 0 needs it

  std::filesystem::remove(files.checkpoint(0));
  journal.keep_tail();
  CHECK(first() > 0);
  auto audit = audit_run(files.disk, files.directory);
  CHECK(audit.balances());
  CHECK(audit.checkpoint == 1);

  std::ofstream(files.checkpoint(1)) << "no";  // nobody goes on from that
  journal.keep_tail();
  audit = audit_run(files.disk, files.directory);
  CHECK(audit.balances());
  CHECK(audit.checkpoint == 2);
}

TEST_CASE_FIXTURE(fixture, "a beginning that nothing goes on from is forgotten, more is not") {
  forget_beginning(disk, directory);  // there is none
  std::size_t joined = 0;
  while (std::holds_alternative<join_record>(run.records[joined])) ++joined;
  {
    run_journal journal(disk, directory, run.layout);
    journal.begin(identity);
    journal.add(events(0, joined));
    journal.commit();
  }
  forget_beginning(disk, directory);
  run_journal journal(disk, directory, run.layout);
  journal.begin(identity);
  journal.add(events(0, joined + 1));
  journal.commit();
  CHECK_THROWS_WITH_AS(forget_beginning(disk, directory),
                       doctest::Contains("there is no checkpoint to go on from"), run_error);
  CHECK(same_records() == joined + 1);
}
