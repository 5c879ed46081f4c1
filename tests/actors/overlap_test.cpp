// Workers that go on while their last update travels: on the virtual clock beside a simulation of
// what happens physically, and in real time.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "coordination/types.hpp"
#include "tests/actors/run_fixture.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

/// One weight x in a run of fake::counter, whose gradient is x - 10: what workers, links and server
/// do, event by event, without any of the run's decisions.
class physical_run {
 public:
  struct setting {
    std::vector<run_time> pace;  // a step of each worker
    run_time latency;            // of each link, either way
    int steps;                   // of a round
    double rate;
    int budget;  // steps of all that arrive
  };

  struct arrival {
    run_time time;
    std::size_t worker;
    int base_version;
  };

  explicit physical_run(setting s) : s_(std::move(s)), workers_(s_.pace.size()) {}

  void run() {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      workers_[i].assigned = 2;
      at(s_.latency, reply_comes, [this, i] { begin_round(i); });
    }
    while (arrived_steps < s_.budget) {
      const auto first = events_.begin();
      now_ = first->first.first;
      const auto event = first->second;
      events_.erase(first);
      event();
    }
    for (auto& w : workers_) {
      busy.push_back(w.busy + (w.computing ? now_ - w.step_began : run_time{0}));
    }
    end = now_;
  }

  std::vector<arrival> arrivals;
  std::vector<run_time> busy;  // how long each worker computed
  double server = 0.0;         // its weight
  run_time end{0};
  int arrived_steps = 0;
  int taken_over_late = 0;  // replies that came to a worker that had nothing to do any more

 private:
  // What happens at one moment happens in this order: what is there when a step ends counts.
  enum order { update_comes, reply_comes, step_ends };

  struct worker {
    double x = 0.0, base = 0.0, base_before = 0.0;
    int base_version = 0;
    int step = 0, rounds = 0, assigned = 0;
    bool computing = false;
    run_time step_began{0}, busy{0}, link_free{0};
    struct reply {
      double x;
      int version;
    };
    std::optional<reply> inbox;  // came during a step
  };

  void at(run_time time, order o, std::function<void()> what) {
    events_.emplace(std::pair(time, o), std::move(what));
  }

  void begin_round(std::size_t i) {
    workers_[i].step = 0;
    begin_step(i);
  }

  void begin_step(std::size_t i) {
    workers_[i].computing = true;
    workers_[i].step_began = now_;
    at(now_ + s_.pace[i], step_ends, [this, i] { end_step(i); });
  }

  void take_over(worker& w) {
    w.x = w.inbox->x + (w.x - w.base);
    w.base = w.inbox->x;
    w.base_version = w.inbox->version;
    w.inbox.reset();
  }

  void end_step(std::size_t i) {
    auto& w = workers_[i];
    w.busy += s_.pace[i];
    w.computing = false;
    w.x -= s_.rate * (w.x - 10.0);
    w.step += 1;
    if (w.inbox) take_over(w);
    if (w.step < s_.steps) {
      begin_step(i);
      return;
    }
    const double delta = w.base - w.x;
    const run_time arrives = std::max(now_, w.link_free) + s_.latency;
    w.link_free = arrives;
    at(arrives, update_comes,
       [this, i, delta, version = w.base_version] { receive(i, delta, version); });
    w.base_before = w.base;
    w.base = w.x;
    w.rounds += 1;
    if (w.rounds < w.assigned) begin_round(i);
  }

  void receive(std::size_t i, double delta, int base_version) {
    server -= delta;
    version_ += 1;
    arrived_steps += s_.steps;
    arrivals.push_back({now_, i, base_version});
    at(now_ + s_.latency, reply_comes,
       [this, i, reply = worker::reply{server, version_}] { answer(i, reply); });
  }

  void answer(std::size_t i, worker::reply reply) {
    auto& w = workers_[i];
    w.assigned += 1;
    w.inbox = reply;
    if (w.computing) return;
    // It is for the round before the last: what the last one did is not in it.
    w.x = reply.x + (w.x - w.base_before);
    w.base = w.x;
    w.base_version = reply.version;
    w.inbox.reset();
    taken_over_late += 1;
    begin_round(i);
  }

  setting s_;
  std::vector<worker> workers_;
  std::multimap<std::pair<run_time, order>, std::function<void()>> events_;
  run_time now_{0};
  int version_ = 0;
};

struct fixture : fake::run_fixture {
  fixture() {
    c.outer.optimizer = "sgd";
    c.outer.lr = 1.0;
    c.window.grace_seconds = 0.0;
  }

  void make_physical(const physical_run::setting& s) {
    make_learner = [] { return std::make_unique<fake::counter>(); };
    c.workers.count = static_cast<std::int64_t>(s.pace.size());
    for (const auto pace : s.pace) c.workers.seconds_per_step.push_back(to_seconds(pace));
    c.network.latency_seconds = {to_seconds(s.latency)};
    c.network.overlap = true;
    c.quota.local_steps = s.steps;
    c.run.local_steps = s.budget;
    c.inner.optimizer = "sgd";
    c.inner.lr = c.inner.final_lr = s.rate;
    c.inner.weight_decay = c.inner.clip = 0.0;
    c.inner.warmup_steps = 0;
  }
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "replies are taken over at the step at which they are there") {
  // Replies take 1.5 s: in the middle of a round of the first worker, after the round of the
  // second.
  const physical_run::setting s{{1030ms, 310ms}, 750ms, 2, 0.1, 60};
  make_physical(s);
  physical_run expected(s);
  expected.run();
  CHECK(expected.taken_over_late > 5);
  for (const std::int64_t threads : {1, 2}) {
    c.run.threads = threads;
    const auto summary = run();
    CHECK(parameters({"weight"})[0] == doctest::Approx(expected.server).epsilon(1e-5));
    CHECK(summary.virtual_seconds == doctest::Approx(to_seconds(expected.end)));
    std::size_t i = 0;
    int late = 0;
    for (const auto& u : lines("updates.jsonl")) {
      if (u["fate"] != "applied") continue;
      REQUIRE(i < expected.arrivals.size());
      CAPTURE(i);
      CHECK(u["worker"] == expected.arrivals[i].worker);
      CHECK(u["settled_seconds"].get<double>() ==
            doctest::Approx(to_seconds(expected.arrivals[i].time)));
      CHECK(u["base"] == expected.arrivals[i].base_version);
      CHECK(u["staleness"] == static_cast<int>(i) - expected.arrivals[i].base_version);
      late += u["staleness"].get<int>() > 0 ? 1 : 0;
      i += 1;
    }
    CHECK(i == expected.arrivals.size());
    CHECK(late > 5);
    for (std::size_t w = 0; w < 2; ++w) {
      CHECK(summary.per_worker[w].utilisation ==
            doctest::Approx(to_seconds(expected.busy[w]) / to_seconds(expected.end)).epsilon(1e-6));
    }
    // The first worker never waits but for its first version.
    CHECK(expected.busy[0] == expected.end - 750ms);
  }
}

TEST_CASE_FIXTURE(fixture, "a round whose transfers take no time is one without overlap") {
  c.workers.heterogeneity = "very";
  c.data.shard_sampling = "fixed";
  c.outer.optimizer = "delayed-nesterov";
  c.outer.lr = 0.7;
  const auto expected = run();
  c.network.overlap = true;
  const auto s = run();
  CHECK(s.params_sha256 == expected.params_sha256);
  CHECK(s.staleness.mean == expected.staleness.mean);
  CHECK(s.virtual_seconds == expected.virtual_seconds);
}

TEST_CASE_FIXTURE(fixture, "transfers are hidden as far as steps last") {
  c.workers.heterogeneity = "none";  // 7.5 s a round
  c.network.latency_seconds = {3.0};
  const auto without = run();
  c.network.overlap = true;
  const auto with = run();
  CHECK(without.utilisation == doctest::Approx(7.5 / 13.5).epsilon(0.05));
  CHECK(with.utilisation > 0.95);
  // A link that takes longer than the steps: one round each way at a time.
  c.network.latency_seconds = {15.0};
  CHECK(run().utilisation == doctest::Approx(7.5 * 2 / (7.5 + 30.0)).epsilon(0.1));
}

TEST_CASE_FIXTURE(fixture, "overlap learns, with codecs, and the same bits on any threads") {
  c.network.overlap = true;
  c.network.latency_seconds = {1.0, 4.0, 0.25, 9.0};
  c.network.bandwidth_mbit = {0.001, 0.0005, 0.0, 0.002};
  c.outer.optimizer = "delayed-nesterov";
  c.outer.lr = 0.7;
  c.outer.momentum = 0.5;
  c.quota.policy = "dylu";
  c.workers.jitter = 0.3;
  c.workers.events = {"3 2 leave 4", "2 1 slow-down 3 9", "5 0 pause 2.5", "12 0-1 leave 1"};
  std::set<std::string> results;
  for (const char* codec : {"f32", "bf16", "int8", "int4"}) {
    c.network.codec_up = c.network.codec_down = codec;
    c.run.threads = 1;
    const auto expected = run();
    const auto metrics = lines("metrics.jsonl");  // what happens to workers stands there, too
    const auto first = std::find_if(metrics.begin(), metrics.end(),
                                    [](const auto& line) { return line.contains("loss"); });
    REQUIRE(first != metrics.end());
    CHECK(expected.final->loss < 0.7 * (*first)["loss"].get<double>());
    results.insert(expected.params_sha256);
    for (const std::int64_t threads : {2, 4}) {
      c.run.threads = threads;
      CHECK(run().params_sha256 == expected.params_sha256);
    }
  }
  CHECK(results.size() == 4);
}

TEST_CASE_FIXTURE(fixture, "a worker whose update was not finite begins anew") {
  c.network.overlap = true;
  c.inner.clip = 0.0;
  data->poisoned_position = 15;  // of shard 0: in some worker's round
  for (const double latency : {0.0, 1.0, 20.0}) {
    c.network.latency_seconds = {latency};
    const auto s = run();
    CHECK(s.outcome == "finished");
    CHECK(s.updates.rejected == 1);
    CHECK(std::isfinite(s.final->loss));
  }
}

TEST_CASE_FIXTURE(fixture, "in real time, workers have two rounds, and every one has its fate") {
  c.clock.mode = "wall";
  c.network.overlap = true;
  c.outer.lr = 0.5;
  const auto s = run([] { std::this_thread::sleep_for(100us); });
  CHECK(s.outcome == "finished");
  CHECK(s.updates.rejected == 0);
  CHECK(s.final->loss < 0.9 * lines("metrics.jsonl").front()["loss"].get<double>());
  std::map<int, std::set<int>> sequences;
  for (const auto& u : lines("updates.jsonl")) {
    CHECK(sequences[u["worker"].get<int>()].insert(u["sequence"].get<int>()).second);
  }
  for (const auto& [worker, all] : sequences) {
    CHECK(*all.begin() == 0);
    CHECK(static_cast<std::size_t>(*all.rbegin()) == all.size() - 1);
  }
}

TEST_CASE_FIXTURE(fixture, "in real time a NaN stays with the rounds that had it") {
  c.clock.mode = "wall";
  c.network.overlap = true;
  c.inner.clip = 0.0;
  c.workers.count = 1;
  data = std::make_shared<fake::points>(1);
  for (const std::uint64_t position : {5, 15, 25}) {  // of the first three rounds
    data->poisoned_position = position;
    const auto s = run();
    CHECK(s.outcome == "finished");
    CHECK(s.updates.rejected == 1);
    CHECK(std::isfinite(s.final->loss));
  }
}

TEST_CASE_FIXTURE(fixture, "held to their paces, rounds with overlap end when the clock predicts") {
  c.network.overlap = true;
  c.workers.seconds_per_step = {0.0116, 0.015, 0.0302, 0.0666};
  c.network.latency_seconds = {0.05};
  c.run.local_steps = 300;
  const auto predicted = run();
  c.clock.mode = "wall";
  c.workers.throttle = true;
  // A machine that is busy with something else can hold up any one run.
  bool agreed = false;
  for (int attempt = 0; attempt < 4 && !agreed; ++attempt) {
    const auto measured = run();
    CHECK(measured.outcome == "finished");
    CHECK(measured.clock_seconds > 0.98 * predicted.clock_seconds);
    agreed =
        std::abs(measured.clock_seconds - predicted.clock_seconds) < 0.1 * predicted.clock_seconds;
  }
  CHECK(agreed);
}
