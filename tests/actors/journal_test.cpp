// What a run writes down, and how one that is killed goes on with it: its journal is audited,
// replayed, and cut off where a kill could have left it.
#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "config/error.hpp"
#include "config/load.hpp"
#include "config/random.hpp"
#include "recovery/audit.hpp"
#include "recovery/history.hpp"
#include "recovery/replay.hpp"
#include "recovery/resume.hpp"
#include "storage/journal_reader.hpp"
#include "storage/journal_writer.hpp"
#include "tests/actors/run_fixture.hpp"

using namespace rubato;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

using round_name = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>;

/// Writes down every update that is said to be certain.
struct witness : run_observer {
  void progressed(const progress& p) override {
    said_twice = !said.emplace(p.worker, p.incarnation, p.sequence).second || said_twice;
    if (said.size() == die_after) throw std::runtime_error("killed");
  }
  std::set<round_name> said;
  bool said_twice = false;
  std::size_t die_after = 0;  // 0: never
};

struct fixture : fake::run_fixture {
  fixture() {
    c.data.paths = {{"texts"}};  // the configuration is written and read again
    c.run.local_steps = 400;
    c.workers.jitter = 0.2;
    c.checkpoint.every_versions = 5;
    c.checkpoint.keep = 100;
    observer = seen;
  }

  /// The ways in which updates become parameters, as far as the journal has to tell them apart.
  std::vector<std::pair<std::string, config>> kinds() const {
    std::vector<std::pair<std::string, config>> result;
    const auto add = [&](const char* name, bool sync) -> config& {
      auto& k = result.emplace_back(name, c).second;
      if (sync) {
        k.outer.mode = "sync";
        k.outer.optimizer = "nesterov";
      }
      return k;
    };
    add("delayed Nesterov", false).window.grace_seconds = 0.5;
    {
      auto& k = add("measured speeds, accumulation, compensation", false);
      k.quota.policy = "dylu";
      k.quota.speeds = "measured";
      k.outer.optimizer = "adam";
      k.outer.accumulate = 3;
      k.staleness.compensation = "adaptive";
      k.staleness.limit = 3;
      k.record.pairwise_cosines = true;
    }
    add("rounds of all", true).inner.state = "average";
    {
      auto& k = add("a quorum, and updates that are too stale", true);
      k.window.quorum = 2;
      k.staleness.limit = 1;
    }
    {
      auto& k = add("groups", true);
      k.outer.group_size = 2;
      k.outer.group_rounds = 3;
      k.checkpoint.every_versions = 1;
    }
    add("gradients, then local steps", true).quota.stages = {"0 data-parallel", "60 5"};
    {
      auto& k = add("fewer bits, and bases that are known by them", false);
      k.network.codec_up = "int8";
      k.network.codec_down = "int4";
      k.staleness.compensation = "constant";
      k.outer.norm_guard = 3.0;
    }
    add("overlap", false).network.overlap = true;
    return result;
  }

  std::string journal() const { return journal_folder(c.run.directory); }

  /// The balance of the run's journal, and every checkpoint made again from it.
  std::size_t check_journal() {
    const auto audit = audit_run(posix_file_system(), c.run.directory);
    for (const auto& fault : audit.books.faults()) FAIL_CHECK(fault);
    for (const auto& fault : audit.against_summary) FAIL_CHECK(fault);
    CHECK(audit.balances());
    CHECK(audit.books.ended());
    CHECK(audit.books.in_flight().rounds == 0);
    std::size_t compared = 0;
    const auto own = load_config(c.run.directory + "/config.toml");
    replay_run(posix_file_system(), c.run.directory, own, false, [&](const replay_point& point) {
      CAPTURE(point.version);
      CHECK(point.same());
      compared += 1;
    });
    CHECK(compared >= 1);
    return compared;
  }

  /// What became of each round, by the journal.
  std::map<round_name, fate> fates() const {
    journal_reader reader(posix_file_system(), journal());
    std::map<round_name, fate> result;
    while (const auto entry = reader.next()) {
      const auto* settled = std::get_if<settle_record>(&entry->content);
      if (settled == nullptr) continue;
      const auto& id = settled->work;
      result[{id.worker, id.incarnation, id.sequence}] = static_cast<fate>(settled->fate);
    }
    return result;
  }

  /// Nothing that the witness was told of is missing.
  void check_witness() const {
    CHECK_FALSE(seen->said_twice);
    const auto by_journal = fates();
    for (const auto& round : seen->said) {
      REQUIRE(by_journal.contains(round));
      REQUIRE(by_journal.at(round) == fate::applied);
    }
  }

  /// Ends after so many updates, as an actor that fails ends it: nothing is put in order.
  void run_and_kill(std::size_t after) {
    seen->said.clear();
    seen->die_after = after;
    c.run.resume = "no";
    CHECK_THROWS_AS(run(), run_error);
    seen->die_after = 0;
  }

  /// The places in the journal, from this record on, where a kill may have cut it off.
  std::vector<journal_end> ends(std::uint64_t from) const {
    journal_reader reader(posix_file_system(), journal());
    std::vector<journal_end> result;
    while (const auto entry = reader.next()) {
      if (entry->number >= from) result.push_back(reader.end_before_last());
    }
    result.push_back(reader.end());
    return result;
  }

  /// Another run directory, as this one with its journal up to there.
  void go_on_from_copy(const std::string& original, const journal_end& end) {
    c.run.directory = (root / ("copy" + std::to_string(runs++))).string();
    fs::copy(original, c.run.directory, fs::copy_options::recursive);
    { const journal_writer cut(posix_file_system(), journal(), end); }
    c.run.resume = "auto";
    seen->said.clear();
    CHECK(go_on().outcome == "finished");
  }

  std::shared_ptr<witness> seen = std::make_shared<witness>();
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "every run can be audited, and replayed to each of its checkpoints") {
  c.workers.events = {"3 2 leave 4", "5 0 pause 2.5"};
  for (const auto& [name, kind] : kinds()) {
    CAPTURE(name);
    for (const std::string keep : {"all", "tail"}) {
      c = kind;
      c.journal.keep = keep;
      c.checkpoint.keep = 1;
      seen->said.clear();
      const auto s = run();
      CHECK(check_journal() >= (keep == "all" ? 2 : 1));
      check_witness();
      CHECK(seen->said.size() == s.updates.applied);
    }
  }
}

TEST_CASE_FIXTURE(fixture, "neither journal nor checkpoints nor threads have an effect on a run") {
  for (const auto& [name, kind] : kinds()) {
    CAPTURE(name);
    c = kind;
    const auto expected = run();
    const auto expected_lines = lines("updates.jsonl");
    for (const std::int64_t threads : {1, 3}) {
      for (const bool journal : {true, false}) {
        c.run.threads = threads;
        c.journal.enabled = journal;
        c.checkpoint.every_versions = journal ? 7 : 0;
        CHECK(run().params_sha256 == expected.params_sha256);
        CHECK(lines("updates.jsonl") == expected_lines);
      }
    }
  }
}

TEST_CASE_FIXTURE(fixture, "cut off before any record, a run on the virtual clock ends the same") {
  c.run.local_steps = 160;
  c.checkpoint.every_versions = 4;
  for (const auto& [name, kind] : kinds()) {
    CAPTURE(name);
    c = kind;
    const auto expected = run().params_sha256;
    const auto whole_journal = ends(0).back().next_record;
    run_and_kill(6);
    const auto killed = c.run.directory;
    const auto newest = restore_run(posix_file_system(), killed)->header;
    for (const auto& end : ends(newest.record)) {
      CAPTURE(end.next_record);
      go_on_from_copy(killed, end);
      std::ifstream file(c.run.directory + "/summary.json");
      const auto summary = nlohmann::json::parse(file);
      CHECK(summary["params_sha256"] == expected);
      CHECK(summary["inner_states_behind"] == 0);
      check_journal();
      CHECK(ends(0).back().next_record == whole_journal + 1);  // and a note
    }
  }
}

TEST_CASE_FIXTURE(fixture, "cut off before any record, a run on the wall clock loses nothing") {
  c.clock.mode = "wall";
  c.workers.jitter = 0.0;
  c.run.local_steps = 150;
  c.checkpoint.every_versions = 3;
  for (const auto& [name, kind] : kinds()) {
    CAPTURE(name);
    c = kind;
    c.quota.policy = "fixed";
    run_and_kill(7);
    const auto killed = c.run.directory;
    const auto newest = restore_run(posix_file_system(), killed)->header;
    for (const auto& end : ends(newest.record)) {
      CAPTURE(end.next_record);
      c.run.directory = killed;
      const auto before = fates();
      std::set<round_name> there;
      {
        journal_reader reader(posix_file_system(), journal());
        while (const auto entry = reader.next()) {
          const auto* settled = std::get_if<settle_record>(&entry->content);
          if (settled == nullptr || entry->number >= end.next_record) continue;
          there.emplace(settled->work.worker, settled->work.incarnation, settled->work.sequence);
        }
      }
      go_on_from_copy(killed, end);
      check_journal();
      check_witness();
      const auto after = fates();
      for (const auto& round : there) {
        // A merge that was cut off in its middle was told to nobody.
        REQUIRE(after.contains(round));
        CHECK((after.at(round) == before.at(round) || after.at(round) == fate::run_ended));
      }
    }
  }
}

TEST_CASE_FIXTURE(fixture, "killed again and again on the wall clock, a run loses nothing") {
  c.clock.mode = "wall";
  c.workers.jitter = 0.0;
  c.run.local_steps = 600;
  random_generator random(7, random_stream::test);
  for (const auto& [name, kind] : kinds()) {
    CAPTURE(name);
    c = kind;
    c.quota.policy = "fixed";
    run_and_kill(3);
    c.run.resume = "auto";
    int kills = 1;
    // It may be killed when everything is written.
    while (state_of_run(c.run.directory) != run_state::finished) {
      seen->die_after = seen->said.size() + 1 + random.below(12);
      try {
        go_on();
      } catch (const run_error&) {
        kills += 1;
      }
    }
    CHECK(kills >= 3);
    check_journal();
    check_witness();
    CHECK(seen->said.size() > 20);
    std::set<std::pair<int, int>> rounds;
    for (const auto& u : lines("updates.jsonl")) {
      CHECK(rounds.emplace(u["worker"].get<int>(), u["sequence"].get<int>()).second);
    }
  }
}

TEST_CASE_FIXTURE(fixture, "a run that is stopped can be audited before and after it goes on") {
  std::atomic<bool> stop{false};
  std::atomic<int> calls{0};
  const auto slow = [&] {
    if (++calls == 60) stop = true;
    std::this_thread::sleep_for(1ms);
  };
  REQUIRE(run(slow, &stop).outcome == "interrupted");
  const auto audit = audit_run(posix_file_system(), c.run.directory);
  CHECK(audit.balances());
  CHECK_FALSE(audit.books.ended());
  CHECK(audit.books.in_flight().rounds > 0);
  c.run.resume = "auto";
  go_on();
  check_journal();
}

TEST_CASE_FIXTURE(fixture, "a branch has a journal of its own, from the checkpoint that it has") {
  c.outer.mode = "sync";
  c.outer.optimizer = "sgd";
  c.quota.stages = {"0 data-parallel"};
  run();
  c.run.branch = c.run.directory;
  c.quota.stages = {"0 data-parallel", "200 5"};
  seen->said.clear();  // the branch has rounds of the same names
  seen->die_after = 10;
  CHECK_THROWS_AS(run(), run_error);
  const journal_reader own(posix_file_system(), journal());
  CHECK(own.first_record() > 0);
  seen->die_after = 0;
  c.run.resume = "auto";
  go_on();
  check_journal();
}

TEST_CASE_FIXTURE(fixture, "a run that was killed before its first checkpoint begins again") {
  c.run.resume = "auto";
  c.run.directory = (root / "early").string();
  fs::create_directories(c.run.directory);
  std::ofstream(c.run.directory + "/config.toml") << to_toml(c);
  {
    journal_writer writer(posix_file_system(), journal(), new_run_identity());
    writer.append(join_record{0, 1, run_time{0}, "local"});
    writer.commit();
  }
  go_on();
  check_journal();
}

TEST_CASE_FIXTURE(fixture, "what a resumed run cannot follow is an error that names the record") {
  run_and_kill(20);
  fs::remove_all(checkpoint_folder(c.run.directory));
  c.run.resume = "auto";
  CHECK_THROWS_WITH_AS(go_on(), doctest::Contains("there is no checkpoint to go on from"),
                       run_error);

  c.checkpoint.every_versions = 1000;
  run_and_kill(20);
  c.run.resume = "auto";
  data->poisoned_position = 0;  // other data than before
  CHECK_THROWS_WITH_AS(go_on(), doctest::Contains("of the journal cannot be reached again"),
                       run_error);
  c.journal.enabled = false;
  CHECK_THROWS_WITH_AS(go_on(), doctest::Contains("journal.enabled = false: the run in "),
                       usage_error);
}
