#include "recovery/audit.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "config/error.hpp"
#include "tests/recovery/little_run.hpp"

using namespace rubato;

namespace {

ledger books_of(const std::vector<journal_record>& records) {
  ledger books;
  for (std::size_t i = 0; i < records.size(); ++i) books.add(i, records[i]);
  return books;
}

/// The first record of that type (and fate, of settle records) from a place on.
template <class Record>
std::size_t find(const std::vector<journal_record>& records, std::size_t from = 0) {
  while (!std::holds_alternative<Record>(records.at(from))) ++from;
  return from;
}

std::string first_fault(const std::vector<journal_record>& records) {
  const auto books = books_of(records);
  return books.faults().empty() ? "none" : books.faults().front();
}

}  // namespace

TEST_CASE("the books of every method balance, and count what the coordinator counts") {
  for (const auto& method : little_methods()) {
    CAPTURE(method.first);
    const little_run run(little_config(method.second));
    const auto books = books_of(run.records);
    CHECK_MESSAGE(books.fault_count() == 0, first_fault(run.records));
    CHECK(books.missing() == 0);
    CHECK(books.in_flight().rounds == 0);
    CHECK(books.ended());
    CHECK(books.version() == run.core().version());
    std::int64_t tokens = 0;
    std::uint64_t rounds = 0;
    for (const auto& [what, amount] : books.settled()) {
      CHECK(amount.rounds == run.core().count(what));
      rounds += amount.rounds;
      tokens += amount.tokens;
    }
    CHECK(rounds == books.assigned().rounds);
    CHECK(tokens == books.assigned().tokens);
    // Steps of what arrived are the budget's; the rest never arrived.
    for (const auto never : {fate::abandoned, fate::run_ended}) {
      const auto found = books.settled().find(never);
      if (found != books.settled().end()) tokens -= found->second.tokens;
    }
    CHECK(tokens == run.core().tokens());
  }
}

TEST_CASE("at any moment what is assigned is settled or in flight") {
  const little_run run(little_config());
  ledger books;
  for (std::size_t i = 0; i < run.records.size(); ++i) {
    books.add(i, run.records[i]);
    CHECK(books.missing() == 0);
  }
  CHECK(books_of({run.records.begin(), run.records.begin() + 8}).in_flight().rounds == 4);
}

TEST_CASE("the books go on from their state as if they had never been closed") {
  const little_run run(little_config(
      {{"workers.events", R"(["5 0 leave 20", "11 2 leave"])"}, {"staleness.limit", "1"}}));
  const auto whole = books_of(run.records);
  for (std::size_t cut = 0; cut <= run.records.size(); cut += 7) {
    ledger first;
    for (std::size_t i = 0; i < cut; ++i) first.add(i, run.records[i]);
    ledger books(nlohmann::json::from_cbor(nlohmann::json::to_cbor(first.state())));
    for (std::size_t i = cut; i < run.records.size(); ++i) books.add(i, run.records[i]);
    // A moment between the updates of one merge is none at which there are checkpoints, but with
    // one update a merge there is none.
    CHECK(books.fault_count() == 0);
    CHECK(books.state() == whole.state());
  }
  CHECK_THROWS_AS(ledger(nlohmann::json{{"workers", 3}}), run_error);
}

TEST_CASE("a settlement that is lost, repeated or changed does not balance or is a fault") {
  const little_run run(little_config());
  const std::int64_t tokens = 10 * little_run::tokens_per_step;
  const auto place = find<settle_record>(run.records);

  auto lost = run.records;
  lost.erase(lost.begin() + static_cast<std::ptrdiff_t>(place));
  const auto books = books_of(lost);
  CHECK(books.in_flight().rounds == 1);
  CHECK(books.fault_count() >
        0);  // the next merge is not the next, the version jumps, the run ends

  auto repeated = run.records;
  repeated.insert(repeated.begin() + static_cast<std::ptrdiff_t>(place), repeated[place]);
  CHECK(books_of(repeated).missing() == -tokens);
  CHECK(first_fault(repeated).find("settled as applied, but it has its fate already") !=
        std::string::npos);

  auto never = run.records;
  never.erase(never.begin() + static_cast<std::ptrdiff_t>(find<assign_record>(never)));
  CHECK(books_of(never).fault_count() > 0);

  auto changed = run.records;
  std::get<settle_record>(changed[place]).work.tokens -= 1;
  CHECK(books_of(changed).missing() == 1);
  CHECK(first_fault(changed).find("29 tokens, but was given out with 30") != std::string::npos);
}

TEST_CASE("what cannot follow is found, with the record and the round") {
  const little_run run(little_config());
  const auto settle = find<settle_record>(run.records);
  const auto assign = find<assign_record>(run.records);
  const auto fault_of = [&](auto&& change) {
    auto records = run.records;
    change(records);
    return first_fault(records);
  };
  const auto is_like = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };

  CHECK(first_fault(run.records) == "none");
  CHECK(is_like(fault_of([&](auto& r) { std::get<assign_record>(r[assign]).sequence = 1; }),
                "round 1 of worker 0 is given out, where round 0 is the next"));
  CHECK(is_like(fault_of([&](auto& r) { std::get<assign_record>(r[assign]).base_version = 9; }),
                "starts from version 9, but 0 is the newest"));
  CHECK(is_like(fault_of([&](auto& r) { std::get<assign_record>(r[assign]).incarnation = 2; }),
                "is not there in that life"));
  CHECK(is_like(fault_of([&](auto& r) { std::get<settle_record>(r[settle]).merge = 2; }),
                "goes into merge 2, where 1 is the next"));
  CHECK(is_like(fault_of([&](auto& r) { std::get<settle_record>(r[settle]).version = 3; }),
                "is settled at version 3, after version 0"));
  CHECK(is_like(fault_of([&](auto& r) { std::get<settle_record>(r[settle]).fate = 8; }),
                "is settled as too_stale, with merge 1"));
  CHECK(is_like(fault_of([&](auto& r) { r.push_back(r.back()); }), "behind the end of the run"));
  CHECK(is_like(fault_of([&](auto& r) {
                  r.insert(r.begin(), fence_record{3, 1, {}});
                }),
                "record 0: worker 3 is lost in its life 1"));
  CHECK(is_like(fault_of([&](auto& r) { r.insert(r.begin(), r[0]); }),
                "record 1: worker 0 joins in its life 1, after life 1"));
}

TEST_CASE("updates that answer no round are counted beside the balance") {
  little_run run(little_config());
  const auto settle = find<settle_record>(run.records);
  auto again = std::get<settle_record>(run.records[settle]);
  again.fate = static_cast<std::uint8_t>(fate::duplicate);
  again.merge = 0;
  again.work.tokens = 0;
  auto records = run.records;
  records.insert(records.begin() + static_cast<std::ptrdiff_t>(settle) + 1, again);
  const auto books = books_of(records);
  CHECK(books.fault_count() == 0);
  CHECK(books.missing() == 0);
  CHECK(books.refused().at(fate::duplicate) == 1);

  again.work.sequence = 99;
  records[settle + 1] = again;
  CHECK(books_of(records).fault_count() == 1);
}
