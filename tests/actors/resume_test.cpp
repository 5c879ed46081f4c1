// A run that is killed, or stopped, and goes on ends as the one that was not. On the virtual clock:
// with the same bits, the same lines and the same summary.
#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "config/error.hpp"
#include "config/random.hpp"
#include "recovery/resume.hpp"
#include "recovery/snapshot.hpp"
#include "storage/run_lock.hpp"
#include "tests/actors/run_fixture.hpp"

using namespace rubato;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

struct fixture : fake::run_fixture {
  fixture() {
    c.data.paths = {{"texts"}};  // the configuration is written and read again
    c.run.local_steps = 600;
    c.quota.policy = "dylu";
    c.workers.jitter = 0.2;
    c.workers.events = {"3 2 leave 4", "2 1 slow-down 3 9", "5 0 pause 2.5", "12 0-1 leave 1"};
    c.window.grace_seconds = 0.5;
    c.checkpoint.every_versions = 3;
  }

  /// What a run leaves behind and says of itself, but for real time and place.
  nlohmann::json result() const {
    const auto without_time = [](nlohmann::json j) {
      for (const char* key : {"wall_seconds", "tokens_per_second", "data_wait", "directory"})
        j.erase(key);
      return j;
    };
    std::ifstream in(fs::path(c.run.directory) / "summary.json");
    auto summary = without_time(nlohmann::json::parse(in));
    summary["final"] = without_time(summary["final"]);
    summary["best"] = without_time(summary["best"]);
    // An evaluation is noted when it is done, so its place among workers' changes is left to
    // chance.
    std::vector<std::string> metrics;
    for (const auto& line : lines("metrics.jsonl")) metrics.push_back(without_time(line).dump());
    std::sort(metrics.begin(), metrics.end());
    return {{"summary", summary}, {"updates", lines("updates.jsonl")}, {"metrics", metrics}};
  }

  nlohmann::json uninterrupted() {
    c.run.resume = "no";
    run();
    return result();
  }

  /// Ends at a random step, as an actor that fails ends it: nothing is put in order.
  nlohmann::json killed_again_and_again(std::uint64_t seed, int& kills) {
    random_generator random(seed, random_stream::test);
    c.run.directory = (root / ("killed" + std::to_string(runs++))).string();
    c.run.resume = "auto";
    // It may be killed when everything is written, by a step that nobody waits for any more.
    while (state_of_run(c.run.directory) != run_state::finished) {
      std::atomic<std::int64_t> left{static_cast<std::int64_t>(random.below(500))};
      try {
        go_on([&left] {
          if (--left < 0) throw std::runtime_error("killed");
        });
      } catch (const run_error&) {
        kills += 1;
      }
    }
    return result();
  }
};

/// As in updates.jsonl, where a difference can be found; the whole would fill the screen.
void check_same(const nlohmann::json& a, const nlohmann::json& b) {
  CHECK(a["summary"] == b["summary"]);
  REQUIRE(a["updates"].size() == b["updates"].size());
  for (std::size_t i = 0; i < a["updates"].size(); ++i) REQUIRE(a["updates"][i] == b["updates"][i]);
  CHECK(a["metrics"] == b["metrics"]);
}

/// Makes the newest checkpoint one of a program whose evaluations had no metrics.
void forget_metrics(const std::string& directory) {
  auto& files = posix_file_system();
  const auto folder = checkpoint_folder(directory);
  checkpoint_reader from(files, checkpoint_path(folder, list_checkpoints(files, folder).back()));
  snapshot_reader reader(from);
  snapshot_writer writer(files, folder, from.header());
  std::size_t forgotten = 0;
  for (const auto& name : reader.parts()) {
    auto part = reader.read(name);
    if (name == run_part) {
      for (auto& e : part.values.at("evaluations")) forgotten += e.erase("metrics");
      for (const char* key : {"last", "best"}) {
        if (!part.values.at(key).is_null()) forgotten += part.values[key].erase("metrics");
      }
    }
    writer.add(name, std::move(part));
    while (writer.busy()) writer.write_slice();
  }
  writer.commit();
  REQUIRE(forgotten >= 2);
}

}  // namespace

TEST_CASE_FIXTURE(fixture, "a run that is killed at any moment goes on and ends the same") {
  const config base = c;
  std::vector<std::pair<std::string, config>> kinds{{"delayed Nesterov with DyLU", base}};
  {
    auto& k = kinds.emplace_back("accumulation with compensation", base).second;
    k.outer.optimizer = "adam";
    k.outer.accumulate = 3;
    k.staleness.compensation = "adaptive";
    k.record.pairwise_cosines = true;
  }
  {
    auto& k = kinds.emplace_back("mixing with measured speeds", base).second;
    k.outer.optimizer = "mixing";
    k.quota.speeds = "measured";
    k.inner.state = "zero";
  }
  {
    auto& k = kinds.emplace_back("a quorum, and a mean of inner states", base).second;
    k.outer.mode = "sync";
    k.outer.optimizer = "nesterov";
    k.window.grace_seconds = 0.0;
    k.window.quorum = 3;
    k.inner.state = "average";
  }
  {
    auto& k = kinds.emplace_back("stages with gradients", base).second;
    k.outer.mode = "sync";
    k.outer.optimizer = "nesterov";
    k.window.grace_seconds = 0.0;
    k.quota.policy = "fixed";
    k.quota.stages = {"0 data-parallel", "60 5", "300 data-parallel", "340 10"};
  }
  {
    auto& k = kinds.emplace_back("int4 both ways, with compensation", base).second;
    k.network.codec_up = k.network.codec_down = "int4";
    k.staleness.compensation = "constant";
    k.network.bandwidth_mbit = {0.001};
  }
  {
    auto& k = kinds.emplace_back("int8 up and bf16 down, with a quorum", base).second;
    k.network.codec_up = "int8";
    k.network.codec_down = "bf16";
    k.outer.mode = "sync";
    k.outer.optimizer = "nesterov";
    k.window.grace_seconds = 0.0;
    k.window.quorum = 3;
  }
  {
    auto& k = kinds.emplace_back("overlap", base).second;
    k.network.overlap = true;
    k.network.latency_seconds = {0.5, 3.0, 0.0, 9.0};
    k.window.grace_seconds = 0.0;
  }
  {
    auto& k = kinds.emplace_back("overlap, int8 up and int4 down", base).second;
    k.network.overlap = true;
    k.network.codec_up = "int8";
    k.network.codec_down = "int4";
    k.network.bandwidth_mbit = {0.004, 0.001, 0.0, 0.05};
    k.window.grace_seconds = 0.0;
    k.checkpoint.every_versions = 1;
  }
  {
    auto& k = kinds.emplace_back("groups", base).second;
    k.outer.mode = "sync";
    k.outer.optimizer = "momentum";
    k.window.grace_seconds = 0.0;
    k.quota.policy = "fixed";
    k.outer.group_size = 2;
    k.outer.group_rounds = 3;
    k.checkpoint.every_versions = 1;
  }
  std::uint64_t seed = 0;
  for (const auto& [name, kind] : kinds) {
    CAPTURE(name);
    c = kind;
    const auto expected = uninterrupted();
    int kills = 0;
    for (const std::int64_t threads : {1, 2, 4}) {
      CAPTURE(threads);
      c.run.threads = threads;
      check_same(killed_again_and_again(seed++, kills), expected);
    }
    CHECK(kills >= 3);
  }
}

TEST_CASE_FIXTURE(fixture, "inner states in files change nothing, not even after kills") {
  const config base = c;
  std::vector<config> kinds{base, base, base};
  kinds[1].outer.mode = "sync";
  kinds[1].outer.optimizer = "nesterov";
  kinds[1].window.grace_seconds = 0.0;
  kinds[1].inner.state = "average";
  kinds[2].network.codec_up = "int8";
  std::uint64_t seed = 100;
  for (const auto& kind : kinds) {
    CAPTURE(kind.inner.state);
    CAPTURE(kind.network.codec_up);
    c = kind;
    const auto expected = uninterrupted();
    c.inner.state_files = true;
    check_same(uninterrupted(), expected);
    int kills = 0;
    check_same(killed_again_and_again(seed++, kills), expected);
    CHECK(kills >= 1);
  }
}

TEST_CASE_FIXTURE(fixture, "averaged and local tensors come back with the rest") {
  // Killed by its observer: the learner has no disturbance.
  make_learner = [] { return std::make_unique<fake::counter>(); };
  struct killer : run_observer {
    void progressed(const progress& p) override {
      if (p.version >= at && !std::exchange(done, true)) throw std::runtime_error("killed");
    }
    std::uint64_t at = 17;
    bool done = false;
  };
  const auto reference = run();
  observer = std::make_shared<killer>();
  CHECK_THROWS_AS(run(), run_error);
  c.run.resume = "auto";
  CHECK(go_on().params_sha256 == reference.params_sha256);
}

TEST_CASE_FIXTURE(fixture, "a run that is stopped writes a checkpoint and goes on from there") {
  const auto expected = uninterrupted();
  c.checkpoint.every_versions = 1000;  // only the first, and that of the stop
  c.run.directory = (root / "stopped").string();
  c.run.resume = "auto";
  int stops = 0;
  run_summary s;
  do {
    std::atomic<bool> stop{false};
    std::atomic<int> calls{0};
    s = go_on(
        [&] {
          if (++calls == 40) stop = true;
          std::this_thread::sleep_for(1ms);
        },
        &stop);
    stops += s.outcome == "interrupted" ? 1 : 0;
    REQUIRE(stops < 50);
  } while (s.outcome == "interrupted");
  CHECK(stops >= 2);
  CHECK(result()["summary"] == expected["summary"]);
  CHECK(state_of_run(c.run.directory) == run_state::finished);
}

TEST_CASE_FIXTURE(fixture, "on the wall clock a run goes on from its checkpoint, at its time") {
  c.clock.mode = "wall";
  c.workers.events = {};
  c.workers.jitter = 0.0;
  std::atomic<int> left{500};
  const auto die = [&left] {
    std::this_thread::sleep_for(1ms);
    if (--left < 0) throw std::runtime_error("killed");
  };
  CHECK_THROWS_AS(run(die), run_error);
  const auto restored = restore_run(posix_file_system(), c.run.directory);
  REQUIRE(restored->header.number > 0);
  const run_time then(restored->run.values.at("clock").get<std::int64_t>());
  c.run.resume = "auto";
  const auto s = go_on();
  CHECK(s.outcome == "finished");
  CHECK(s.clock_seconds >= to_seconds(then));
  std::set<std::pair<int, int>> rounds;
  std::int64_t steps = 0;
  for (const auto& u : lines("updates.jsonl")) {
    CHECK(rounds.emplace(u["worker"].get<int>(), u["sequence"].get<int>()).second);
    if (u["fate"] == "applied") steps += u["steps"].get<std::int64_t>();
  }
  CHECK(steps >= c.run.local_steps);
  CHECK(steps == s.local_steps);
}

TEST_CASE_FIXTURE(fixture, "checkpoints have no effect on the result, and the last ones are kept") {
  const auto expected = uninterrupted();
  const auto files = [&] {
    return list_checkpoints(posix_file_system(), checkpoint_folder(c.run.directory));
  };
  // One is written at a time, so how many there are depends on the disk.
  CHECK(files().size() >= 1);
  CHECK(files().size() <= 2);
  c.journal.keep = "all";  // with the first one, too
  c.checkpoint.every_versions = 1;
  c.checkpoint.keep = 5;
  check_same(uninterrupted(), expected);
  CHECK(files().size() >= 1);
  CHECK(files().size() <= 6);
  CHECK(files().front() == 0);
  CHECK(restore_run(posix_file_system(), c.run.directory)->record.at("sha256").is_string());
  c.checkpoint.every_versions = 0;
  check_same(uninterrupted(), expected);
  CHECK_FALSE(fs::exists(checkpoint_folder(c.run.directory)));
}

TEST_CASE_FIXTURE(fixture,
                  "of damaged checkpoints the newest good one is taken, and none is an error") {
  const auto expected = uninterrupted();
  std::atomic<int> left{500};
  const auto die = [&left] {
    std::this_thread::sleep_for(200us);  // there is to be time for a few checkpoints
    if (--left < 0) throw std::runtime_error("killed");
  };
  c.checkpoint.keep = 100;
  c.checkpoint.every_versions = 1;
  CHECK_THROWS_AS(run(die), run_error);
  const auto folder = checkpoint_folder(c.run.directory);
  const auto numbers = list_checkpoints(posix_file_system(), folder);
  REQUIRE(numbers.size() > 2);
  const auto damage = [&](std::uint64_t number) {
    std::fstream file(checkpoint_path(folder, number), std::ios::in | std::ios::out);
    file.seekg(300);
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(300);
    file.put(byte);
  };
  damage(numbers.back());
  damage(numbers[numbers.size() - 2]);
  const auto restored = restore_run(posix_file_system(), c.run.directory);
  CHECK(restored->header.number == numbers[numbers.size() - 3]);
  CHECK(restored->skipped.size() == 2);
  c.run.resume = "auto";
  go_on();
  check_same(result(), expected);

  c.run.resume = "no";
  left = 500;
  CHECK_THROWS_AS(run(die), run_error);
  for (const auto number :
       list_checkpoints(posix_file_system(), checkpoint_folder(c.run.directory))) {
    std::ofstream(checkpoint_path(checkpoint_folder(c.run.directory), number)) << "no";
  }
  c.run.resume = "auto";
  CHECK_THROWS_AS(go_on(), run_error);
}

TEST_CASE_FIXTURE(fixture, "a run of a program whose evaluations had no metrics goes on") {
  const auto expected = uninterrupted();
  std::atomic<int> left{300};
  const auto die = [&left] {
    if (--left < 0) throw std::runtime_error("killed");
  };
  CHECK_THROWS_AS(run(die), run_error);
  forget_metrics(c.run.directory);
  c.run.resume = "auto";
  go_on();
  check_same(result(), expected);
}

TEST_CASE_FIXTURE(fixture, "a setting that the weights depend on may not change, others may") {
  const auto expected = uninterrupted();
  std::atomic<int> left{200};
  const auto die = [&left] {
    if (--left < 0) throw std::runtime_error("killed");
  };
  CHECK_THROWS_AS(run(die), run_error);
  c.run.resume = "auto";
  c.outer.lr = 0.6;
  CHECK_THROWS_WITH_AS(go_on(), doctest::Contains("outer.lr = 0.6: the run in "), usage_error);
  CHECK_THROWS_WITH_AS(go_on(), doctest::Contains("was begun with 0.7"), usage_error);
  c.outer.lr = 0.7;
  c.run.threads = 3;
  c.checkpoint.every_versions = 5;
  c.evaluate.every_local_steps = 50;
  CHECK(go_on().params_sha256 == expected["summary"]["params_sha256"].get<std::string>());
}

TEST_CASE_FIXTURE(fixture, "a finished run, and one that somebody else is at, are left alone") {
  run();
  c.run.resume = "auto";
  CHECK_THROWS_AS(go_on(), usage_error);
  c.run.directory = (root / "in use").string();
  fs::create_directories(c.run.directory);
  const run_lock lock(c.run.directory);
  CHECK_THROWS_WITH_AS(go_on(), doctest::Contains("is in use by"), run_error);
}
