// The two clocks: real time beside simulated time, on the same config, and workers that come and
// go.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "actors/server.hpp"
#include "config/error.hpp"
#include "tests/actors/run_fixture.hpp"

using namespace rubato;
using namespace std::chrono_literals;
using fixture = fake::run_fixture;

namespace {

bool within(double value, double expected, double share) {
  return std::abs(value - expected) <= share * expected;
}

/// Every round that was given out has one line, and sequences have no gaps. One that comes in after
/// its fate was decided has another.
void check_ledger(const fixture& f) {
  std::map<std::pair<int, int>, std::set<int>> sequences;
  for (const auto& u : f.lines("updates.jsonl")) {
    if (u["fate"] == "stale_incarnation" || u["fate"] == "duplicate") continue;
    const auto life = std::pair<int, int>(u["worker"], u["incarnation"]);
    CHECK_MESSAGE(sequences[life].insert(u["sequence"].get<int>()).second, u.dump());
  }
  for (const auto& [life, all] : sequences) {
    CHECK(*all.begin() == 0);
    CHECK(static_cast<std::size_t>(*all.rbegin()) == all.size() - 1);
  }
}

/// What metrics.jsonl says about workers.
std::vector<nlohmann::json> timeline(const fixture& f) {
  std::vector<nlohmann::json> result;
  for (const auto& line : f.lines("metrics.jsonl")) {
    if (line.contains("event")) result.push_back(line);
  }
  return result;
}

/// A node without lanes: lets a test see what the server sends, and answer as it likes.
struct hand_played_node_state {
  hand_played_node_state() = default;
  static inline const char* name = "node";
};

struct node_log {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<assignment> assigned;
  std::vector<update_settled> settled;

  template <class List>
  void wait_for(const List& list, std::size_t count) {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 10s, [&] { return list.size() >= count; }));
  }
};

node_actor::behavior_type hand_played_node(actor_pointer<node_actor, hand_played_node_state> self,
                                           server_actor server, std::shared_ptr<node_log> log,
                                           worker_id workers) {
  join_run join;
  join.node = caf::actor_cast<caf::strong_actor_ptr>(self);
  for (worker_id i = 0; i < workers; ++i) join.workers.push_back(i);
  send(self, server, std::move(join));
  return {
      [log](const assign_round& round) {
        const std::lock_guard lock(log->mutex);
        log->assigned.push_back(round.work);
        log->changed.notify_all();
      },
      [log](const update_settled& settled) {
        const std::lock_guard lock(log->mutex);
        log->settled.push_back(settled);
        log->changed.notify_all();
      },
      [](const run_round&) {},
      [](const take_over&) {},
      [](const round_finished&) {},
      [](const round_dropped&) {},
      [](const capture_worker&) {},
      [](const capture_written&) {},
      [](const restore_worker&) {},
  };
}

}  // namespace

TEST_CASE_FIXTURE(fixture, "a throttled run takes the time that the virtual clock predicts") {
  c.workers.seconds_per_step = {0.0116, 0.015, 0.0302, 0.0666};
  c.quota.policy = "dylu";
  c.quota.speeds = "given";
  const auto predicted = run();
  c.clock.mode = "wall";
  c.workers.throttle = true;
  // A machine that is busy with something else can hold up any one run.
  bool agreed = false;
  for (int attempt = 0; attempt < 4 && !agreed; ++attempt) {
    const auto measured = run();
    agreed = within(measured.clock_seconds, predicted.clock_seconds, 0.1) &&
             within(static_cast<double>(measured.server_version),
                    static_cast<double>(predicted.server_version), 0.04) &&
             within(measured.staleness.mean, predicted.staleness.mean, 0.1);
    CAPTURE(measured.clock_seconds);
    CAPTURE(predicted.clock_seconds);
    CHECK(measured.clock_seconds > 0.98 * predicted.clock_seconds);  // never faster than the paces
    CHECK(std::isnan(measured.virtual_seconds));
    check_ledger(*this);
  }
  CHECK(agreed);
}

TEST_CASE_FIXTURE(fixture, "without pacing, the wall clock's workers are as fast as they can be") {
  c.clock.mode = "wall";
  c.quota.policy = "dylu";
  c.outer.momentum = 0.0;
  const auto s = run([] { std::this_thread::sleep_for(200us); });
  CHECK(s.outcome == "finished");
  CHECK(s.clock == "wall");
  CHECK(s.local_steps >= 400);
  CHECK(s.clock_seconds < 10.0);  // at the preset's paces it would be 99 s
  CHECK(s.utilisation > 0.0);
  CHECK(s.utilisation <= 1.0);
  CHECK(s.final->loss < 0.9 * lines("metrics.jsonl").front()["loss"].get<double>());
  for (const auto& worker : s.per_worker) CHECK(worker.seconds_per_step > 200e-6);
  check_ledger(*this);
  const auto updates = lines("updates.jsonl");
  CHECK(updates[0]["steps"] == 5);  // of a worker whose speed is not known yet
  CHECK(updates[0]["compute_seconds"] > 5 * 200e-6);
  // Whoever is the fastest now gets all of H; who that is depends on the machine.
  CHECK(std::any_of(updates.begin(), updates.end(), [](const auto& u) { return u["steps"] > 5; }));
}

TEST_CASE_FIXTURE(fixture, "synchronous rounds wait for all on the wall clock too") {
  c.clock.mode = "wall";
  c.outer.mode = "sync";
  c.outer.optimizer = "nesterov";
  const auto s = run();
  CHECK(s.server_version == 10);
  CHECK(s.staleness.max == 0);
}

TEST_CASE_FIXTURE(fixture, "rounds that the lanes finish too late are counted") {
  c.clock.mode = "wall";
  c.workers.throttle = true;
  c.workers.seconds_per_step = {0.001, 0.001, 0.001, 0.001};
  c.run.local_steps = 200;
  const auto s = run([] { std::this_thread::sleep_for(3ms); });
  CHECK(s.late.rounds == s.updates.applied);  // 40 ms of computing for 10 ms of pace
  CHECK(s.late.max_seconds >= s.late.mean_seconds);
  CHECK(s.late.mean_seconds > 0.015);
  for (const auto& u : lines("updates.jsonl")) {
    if (u["fate"] == "applied") CHECK(u["late_seconds"] > 0.0);
  }
}

TEST_CASE_FIXTURE(fixture, "an evaluator that cannot keep up skips versions on the wall clock") {
  data->held_out_delay = 5ms;
  c.evaluate.every_local_steps = 10;
  const auto on_virtual = run();
  CHECK(on_virtual.evaluations_skipped == 0);
  CHECK(lines("metrics.jsonl").size() == 41);
  c.clock.mode = "wall";
  const auto s = run();
  CHECK(s.evaluations_skipped > 0);
  CHECK(lines("metrics.jsonl").size() + s.evaluations_skipped >= 41);
  CHECK(s.final->version == s.server_version);
}

TEST_CASE_FIXTURE(fixture,
                  "workers pause, change pace, leave and come back, and are seen to do so") {
  const auto scenario = [&](double unit) {
    const auto at = [unit](double time) { return std::to_string(unit * time); };
    c.workers.seconds_per_step.assign(4, 0.01 * unit);
    c.workers.events = {at(0.5) + " 1 slow-down 4 " + at(0.6), at(0.73) + " 2 leave " + at(0.37),
                        at(0.9) + " 0 pause " + at(0.3)};
    c.run.local_steps = 500;
    c.quota.policy = "dylu";
    c.quota.speeds = "given";
    return run();
  };
  const auto check = [&](const run_summary& s, double unit) {
    check_ledger(*this);
    CHECK(s.updates.abandoned == 1);
    const auto changes = timeline(*this);
    REQUIRE(changes.size() == 6);
    const char* expected[] = {"pace", "leave", "pace", "pace", "join", "pace"};
    for (std::size_t i = 0; i < 6; ++i) CHECK(changes[i]["event"] == expected[i]);
    CHECK(changes[0]["quota"] == 2);  // a quarter of 10, rounded down
    CHECK(changes[0]["seconds_per_step"] == doctest::Approx(0.04 * unit));
    CHECK(changes[1]["quota"] == 0);
    CHECK(changes[2]["seconds_per_step"] == 0.0);
    bool second_life = false;
    for (const auto& u : lines("updates.jsonl")) {
      second_life = second_life || (u["worker"] == 2 && u["incarnation"] == 2 &&
                                    u["sequence"] == 0 && u["fate"] == "applied");
      if (u["fate"] == "abandoned") CHECK(u["worker"] == 2);
    }
    CHECK(second_life);
  };
  check(scenario(100.0), 100.0);
  c.clock.mode = "wall";
  c.workers.throttle = true;
  check(scenario(1.0), 1.0);
}

TEST_CASE_FIXTURE(fixture, "a run that all workers have left ends with the reason") {
  c.workers.events = {"10 all leave"};
  const char* reason = "server: all workers have left, and workers.events brings none of them back";
  CHECK_THROWS_WITH_AS(run(), reason, run_error);
  c.workers.events = {"0.1 all leave"};
  c.run.local_steps = 1'000'000'000;
  c.clock.mode = "wall";
  CHECK_THROWS_WITH_AS(run(), reason, run_error);
  c.clock.mode = "virtual";
  c.workers.events = {"10 all leave 5"};
  c.run.local_steps = 400;
  CHECK(run().outcome == "finished");
}

/// A server whose workers are played by the test.
class hand_played_run {
 public:
  explicit hand_played_run(const fixture& f) {
    context_->settings = f.c;
    context_->settings.checkpoint.every_versions = 0;  // nobody answers for the workers
    context_->data = f.data;
    context_->make_learner = [] { return std::make_unique<fake::quadratic>(); };
    context_->layout = fake::quadratic().layout();
    context_->initial = std::make_shared<parameter_buffer>(context_->layout.size());
    context_->deltas = std::make_shared<buffer_pool>(context_->layout.size());
    context_->shard_weights.assign(4, 1.0);
    server_setup setup;
    setup.run = context_;
    setup.directory = std::make_shared<const run_directory>((f.root / "by-hand").string(), "x");
    setup.result = std::make_shared<run_result>();
    const auto workers = static_cast<worker_id>(f.c.workers.count);
    setup.plan.workers.resize(workers);
    initialize_messages();
    configure(system_config_, 2);
    system_ = std::make_unique<caf::actor_system>(system_config_);
    server_ = system_->spawn<caf::detached>(server, setup);
    node_ = system_->spawn(hand_played_node, server_, log, workers);
  }
  ~hand_played_run() {
    ask_to_exit(server_);
    ask_to_exit(node_);
    system_->await_all_actors_done();
  }

  /// Hands in an update for this round.
  void answer(const assignment& work) {
    auto content = std::make_shared<submission>();
    content->update.id = work.id;
    content->update.base_version = work.base_version;
    content->update.elements = fake::dimension;
    content->update.norm = 1.0;
    content->update.loss = 1.0;
    content->delta = context_->initial;
    send_from_outside(server_, submit_update{content});
  }

  const std::shared_ptr<node_log> log = std::make_shared<node_log>();

 private:
  std::shared_ptr<run_context> context_ = std::make_shared<run_context>();
  caf::actor_system_config system_config_;
  std::unique_ptr<caf::actor_system> system_;
  server_actor server_;
  node_actor node_;
};

TEST_CASE_FIXTURE(fixture, "an update from before a worker left is refused after it came back") {
  c.clock.mode = "wall";
  c.workers.count = 1;
  c.workers.events = {"0.2 0 leave 0.1"};
  hand_played_run run(*this);
  const auto& log = run.log;
  log->wait_for(log->assigned, 2);  // the second one after it has left and come back
  log->wait_for(log->settled, 1);
  CHECK(log->settled[0].what == fate::abandoned);
  const auto first = log->assigned[0], second = log->assigned[1];
  CHECK(first.id == update_id{0, 1, 0});
  CHECK(second.id == update_id{0, 2, 0});
  run.answer(first);
  log->wait_for(log->settled, 2);
  CHECK(log->settled[1].id == first.id);
  CHECK(log->settled[1].what == fate::stale_incarnation);
  run.answer(second);
  log->wait_for(log->settled, 3);
  CHECK(log->settled[2].what == fate::applied);
}

TEST_CASE_FIXTURE(fixture,
                  "an update that waits for its round survives its worker's repeating it") {
  c.clock.mode = "wall";
  c.outer.mode = "sync";
  c.outer.optimizer = "nesterov";
  c.workers.count = 2;
  c.workers.events = {"0.2 0 leave"};
  hand_played_run run(*this);
  const auto& log = run.log;
  log->wait_for(log->assigned, 2);
  const auto first = log->assigned[0], second = log->assigned[1];
  run.answer(first);
  // Told again and again: a duplicate while the worker is there, of no known life after it has
  // left.
  std::size_t repeats = 0;
  do {
    std::this_thread::sleep_for(20ms);
    run.answer(first);
    log->wait_for(log->settled, ++repeats);
  } while (log->settled[repeats - 1].what == fate::duplicate && repeats < 500);
  CHECK(log->settled[repeats - 1].what == fate::stale_incarnation);
  run.answer(second);
  log->wait_for(log->settled, repeats + 2);
  CHECK(log->settled[repeats].id == first.id);
  CHECK(log->settled[repeats].what == fate::applied);
  CHECK(log->settled[repeats + 1].what == fate::applied);
}

TEST_CASE_FIXTURE(fixture, "windows and planned events take turns on the wall clock") {
  c.clock.mode = "wall";
  c.workers.throttle = true;
  c.workers.seconds_per_step.assign(4, 0.005);
  c.workers.jitter = 0.3;
  c.window.grace_seconds = 0.005;
  c.workers.events = {"0.1 1 leave 0.1", "0.3 0 pause 0.05", "3600 all slow-down 2"};
  const auto s = run();
  CHECK(s.outcome == "finished");
  CHECK(s.staleness.max > 0);
  CHECK(timeline(*this).size() >= 4);
  check_ledger(*this);
}
