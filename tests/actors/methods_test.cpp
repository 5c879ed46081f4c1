// The methods in whole runs of the real actors: that they are wired as their formulas say, and the
// equalities between them. The formulas themselves are tested in tests/optim.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <vector>

#include "coordination/schedule.hpp"
#include "tests/actors/run_fixture.hpp"

using namespace rubato;
using fake::relative_difference;

namespace {

struct fixture : fake::run_fixture {
  fixture() {
    c.data.shard_sampling = "fixed";
    c.inner.warmup_steps = 0;
    c.inner.final_lr = c.inner.lr;  // sync and async count their schedules differently: have none
  }

  /// Synchronous, with inner SGD that keeps nothing but what is asked for.
  void make_sync(const char* optimizer, double lr) {
    c.outer.mode = "sync";
    c.outer.optimizer = optimizer;
    c.outer.lr = lr;
    c.inner.optimizer = "sgd";
    c.inner.weight_decay = 0.0;
    c.inner.clip = 0.0;
  }

  std::vector<float> result() {
    run();
    return parameters();
  }
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "accumulating everybody's update in an endless window is synchronous") {
  for (const char* optimizer : {"sgd", "nesterov", "adam"}) {
    CAPTURE(optimizer);
    c.outer = {};
    c.outer.mode = "async";
    c.outer.optimizer = optimizer;
    c.outer.lr = 0.3;
    c.outer.epsilon = 0.1;
    c.outer.accumulate = 4;
    c.window.grace_seconds = 1e6;
    const auto asynchronous = result();
    c.outer.accumulate = 1;
    c.outer.mode = "sync";
    CHECK(relative_difference(asynchronous, result()) < 2e-6);
  }
}

TEST_CASE_FIXTURE(fixture, "data-parallel training is SGD on the large batch, momentum and all") {
  make_sync("sgd", 1.0);
  c.inner.optimizer = "momentum";
  c.inner.final_lr = 0.01;
  c.quota.stages = {"0 data-parallel"};
  const auto s = run();
  CHECK(s.server_version == 100);
  CHECK(s.staleness.max == 0);

  const rate_span rates = make_schedule(c.inner, c.run.local_steps, 0.25);
  std::vector<double> theta(fake::dimension, 0.0), momentum(fake::dimension, 0.0);
  for (std::int32_t round = 0; round < 100; ++round) {
    const double lr = learning_rate(c.inner, rates, round);
    std::vector<double> gradient(fake::dimension, 0.0);
    for (std::int32_t shard = 0; shard < 4; ++shard) {
      const auto target = fake::point(shard, round);
      for (std::size_t i = 0; i < theta.size(); ++i) gradient[i] += (theta[i] - target[i]) / 4.0;
    }
    for (std::size_t i = 0; i < theta.size(); ++i) {
      momentum[i] = c.inner.momentum * momentum[i] + gradient[i];
      theta[i] -= lr * momentum[i];
    }
  }
  CHECK(relative_difference(parameters(), std::vector<float>(theta.begin(), theta.end())) < 1e-5);
}

TEST_CASE_FIXTURE(fixture, "post-local SGD that switches at the end is data-parallel to the end") {
  make_sync("sgd", 1.0);
  c.quota.stages = {"0 data-parallel"};
  const auto data_parallel = result();
  c.quota.stages = {"0 data-parallel", "400 10"};
  CHECK(result() == data_parallel);
  c.quota.stages = {"0 data-parallel", "200 10"};
  CHECK(run().server_version == 50 + 5);
  // Rounds of one plain SGD step, averaged, are the same as averaged gradients.
  c.quota.stages = {"0 1"};
  CHECK(relative_difference(result(), data_parallel) < 1e-5);
  // On a parabola so are rounds of many, unless something is not linear.
  c.inner.clip = 0.5;
  c.quota.stages = {"0 data-parallel"};
  const auto clipped = result();
  c.quota.stages = {"0 data-parallel", "200 10"};
  CHECK(relative_difference(result(), clipped) > 1e-3);
}

TEST_CASE_FIXTURE(fixture, "at the switch workers take over the server's momentum, or begin anew") {
  make_sync("sgd", 1.0);
  c.inner.optimizer = "momentum";
  c.workers.count = 1;
  data = std::make_shared<fake::points>(1);
  c.run.local_steps = 60;  // few, for what momentum there was is soon forgotten
  c.quota.stages = {"0 data-parallel"};
  const auto all_the_way = result();
  // One worker that takes the state over goes on as if nothing had happened.
  c.quota.stages = {"0 data-parallel", "50 10"};
  CHECK(relative_difference(result(), all_the_way) < 1e-5);
  c.outer.handover = "zero";
  CHECK(relative_difference(result(), all_the_way) > 1e-4);
  c.outer.handover = "maintain";
  c.inner.local_scale = 0.5;
  CHECK(relative_difference(result(), all_the_way) > 1e-4);
}

TEST_CASE_FIXTURE(fixture, "SlowMo without slow momentum is Local SGD; with it, it is not") {
  make_sync("slowmo", 1.0);
  c.inner.final_lr = 0.01;
  c.outer.momentum = 0.0;
  const auto without = result();
  c.outer.momentum = 0.5;
  const auto with = result();
  make_sync("sgd", 1.0);
  const auto local_sgd = result();
  CHECK(relative_difference(without, local_sgd) < 1e-5);
  CHECK(relative_difference(with, local_sgd) > 1e-3);
}

TEST_CASE_FIXTURE(fixture, "SlowMo with one worker and no momentum is Lookahead") {
  c.workers.count = 1;
  c.data.shard_sampling = "balanced";
  make_sync("slowmo", 0.5);
  c.outer.momentum = 0.0;
  const auto slowmo = result();
  std::vector<double> slow(fake::dimension, 0.0);
  for (const auto& u : lines("updates.jsonl")) {
    auto fast = slow;
    for (std::int32_t i = 0; i < 10; ++i) {
      const auto target = fake::point(u["shard"], u["data_position"].get<std::int32_t>() + i);
      for (std::size_t j = 0; j < fast.size(); ++j) fast[j] -= c.inner.lr * (fast[j] - target[j]);
    }
    for (std::size_t j = 0; j < slow.size(); ++j) slow[j] += 0.5 * (fast[j] - slow[j]);
  }
  CHECK(relative_difference(slowmo, std::vector<float>(slow.begin(), slow.end())) < 1e-5);
}

TEST_CASE_FIXTURE(fixture, "a worker's optimizer state is kept, begun anew or averaged") {
  make_sync("sgd", 1.0);
  c.inner.optimizer = "adamw";
  const auto keep = result();
  c.inner.state = "zero";
  const auto zero = result();
  c.inner.state = "average";
  const auto average = result();
  CHECK(relative_difference(zero, keep) > 1e-4);
  CHECK(relative_difference(average, keep) > 1e-6);
  CHECK(relative_difference(average, zero) > 1e-4);
  // The mean over one worker is what it has.
  c.workers.count = 1;
  c.data.shard_sampling = "balanced";
  const auto average_of_one = result();
  c.inner.state = "keep";
  CHECK(result() == average_of_one);
}

TEST_CASE_FIXTURE(fixture, "every asynchronous method learns, with the same bits on any threads") {
  struct method {
    const char* optimizer;
    double lr;
    std::function<void(config&)> set;
  };
  const std::vector<method> methods = {
      {"sgd", 0.3, [](config&) {}},
      {"momentum", 0.05, [](config&) {}},
      {"nesterov", 0.05, [](config& c) { c.staleness.weight = "polynomial"; }},
      {"adam", 0.05, [](config& c) { c.outer.accumulate = 2; }},
      {"adamw", 0.05, [](config& c) { c.outer.weight_decay = 0.01; }},
      {"mixing", 0.6, [](config& c) { c.staleness.weight = "hinge"; }},
      {"nesterov", 0.3, [](config& c) { c.outer.accumulate = 4; }},
      {"sgd", 0.7,
       [](config& c) {
         c.outer.accumulate = 3;
         c.staleness.weight = "polynomial";
       }},
      {"sgd", 0.3, [](config& c) { c.staleness.compensation = "constant"; }},
      {"sgd", 0.3,
       [](config& c) {
         c.staleness.compensation = "adaptive";
         c.staleness.compensation_strength = 0.5;
       }},
      {"lookahead-nesterov", 0.05, [](config& c) { c.outer.momentum = 0.5; }},
      {"delayed-nesterov", 0.7, [](config& c) { c.outer.momentum = 0.5; }},
      {"nesterov", 0.05, [](config& c) { c.staleness.limit = 3; }},
  };
  const config plain = c;
  for (const auto& m : methods) {
    CAPTURE(m.optimizer);
    c = plain;
    c.outer.optimizer = m.optimizer;
    c.outer.lr = m.lr;
    m.set(c);
    c.run.threads = 1;
    const auto one = run();
    CHECK(one.final->loss < 0.95 * lines("metrics.jsonl").front()["loss"].get<double>());
    CHECK(one.updates.applied + one.updates.stale == 40);
    if (c.staleness.limit == 3) CHECK(one.updates.stale > 0);
    c.run.threads = 3;
    CHECK(run().params_sha256 == one.params_sha256);
  }
}

// -- averaged and local tensors -----------------------------------------------------------------

TEST_CASE_FIXTURE(fixture, "averaged tensors are the mean of the workers', local ones their own") {
  struct observed : fake::counter {
    explicit observed(std::map<float, int>& seen) : seen_(seen) {}
    double compute_gradient(const batch& b) override {
      seen_[parameters()[local_at]] += 1;
      return counter::compute_gradient(b);
    }
    std::map<float, int>& seen_;
  };
  std::map<float, int> seen;  // how often the local tensor had which value
  make_learner = [&seen] { return std::make_unique<observed>(seen); };
  c.run.threads = 1;  // all workers share one lane
  make_sync("sgd", 0.3);
  for (const char* state : {"keep", "zero", "average"}) {
    CAPTURE(state);
    c.inner.state = state;
    seen.clear();
    run();
    // A worker's ten rounds of ten gradients are counted on from round to round, by itself ...
    CHECK(seen.size() == 100);
    CHECK(seen.rbegin()->first == 99.0F);
    for (const auto& [value, workers] : seen) CHECK(workers == 4);
    CHECK(parameters({"local"}) == std::vector<float>{0.0F});
    // ... and by all together.
    CHECK(parameters({"averaged"}) == std::vector<float>{100.0F});
  }
  // Asynchronously each of the 40 arrivals goes a quarter of its way, at most 10 steps ahead.
  c.inner.state = "keep";
  c.outer.mode = "async";
  run();
  const float counted = parameters({"averaged"})[0];
  CHECK(counted > 30.0F);
  CHECK(counted <= 100.0F);
}

// -- groups -------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(fixture,
                  "groups that average in every round with all are ordinary sync, to the bit") {
  make_sync("nesterov", 0.7);
  const auto plain = run();
  c.outer.group_size = 2;
  const auto grouped = run();
  CHECK(grouped.params_sha256 == plain.params_sha256);
  CHECK(grouped.bytes.within_groups == 0);
}

TEST_CASE_FIXTURE(fixture, "groups of one worker are Local SGD with as many times the steps") {
  for (const char* optimizer : {"sgd", "nesterov", "slowmo"}) {
    CAPTURE(optimizer);
    make_sync(optimizer, 0.7);
    c.inner.optimizer = "momentum";
    c.inner.final_lr = 0.01;
    c.outer.momentum = 0.5;
    c.quota.local_steps = 50;
    c.outer.group_rounds = 1;
    const auto long_rounds = run();
    const auto expected = parameters();
    c.quota.local_steps = 10;
    c.outer.group_rounds = 5;
    const auto s = run();
    CHECK(relative_difference(parameters(), expected) < 1e-5);
    CHECK(s.server_version == long_rounds.server_version);
    CHECK(s.virtual_seconds == doctest::Approx(long_rounds.virtual_seconds));
    c.outer.group_rounds = 4;  // the comparison can fail
    CHECK(relative_difference(result(), expected) > 1e-4);
  }
}

TEST_CASE_FIXTURE(fixture, "one group of all with outer SGD of rate 1 is ordinary Local SGD") {
  make_sync("sgd", 1.0);
  const auto expected = result();
  c.outer.group_size = 4;
  c.outer.group_rounds = 5;
  const auto s = run();
  CHECK(s.server_version == 2);
  CHECK(relative_difference(parameters(), expected) < 1e-5);
}

TEST_CASE_FIXTURE(fixture, "groups average their parameters, all of them make the outer step") {
  make_sync("nesterov", 0.7);
  c.run.local_steps = 160;
  c.outer.group_size = 2;
  c.outer.group_rounds = 2;
  const auto s = run();
  CHECK(s.server_version == 2);
  // Sixteen rounds there and back, every other one within a group.
  const std::uint64_t round = 32 * sizeof(float);  // with padding
  CHECK(s.bytes.up == 16 * round);
  CHECK(s.bytes.down == 16 * round);
  CHECK(s.bytes.within_groups == 16 * round);

  using vector = std::vector<double>;
  vector theta(fake::dimension, 0.0), momentum(fake::dimension, 0.0);
  for (int step = 0; step < 2; ++step) {
    std::vector<vector> groups(2, theta);
    for (int round_of_step = 0; round_of_step < 2; ++round_of_step) {
      const std::int32_t first = 10 * (2 * step + round_of_step);
      for (std::int32_t group = 0; group < 2; ++group) {
        vector mean(fake::dimension, 0.0);
        for (const std::int32_t shard : {2 * group, 2 * group + 1}) {
          auto x = groups[group];
          for (std::int32_t i = first; i < first + 10; ++i) {
            const auto target = fake::point(shard, i);
            for (std::size_t j = 0; j < x.size(); ++j) x[j] -= c.inner.lr * (x[j] - target[j]);
          }
          for (std::size_t j = 0; j < x.size(); ++j) mean[j] += x[j] / 2.0;
        }
        groups[group] = mean;
      }
    }
    for (std::size_t j = 0; j < theta.size(); ++j) {
      const double delta = theta[j] - (groups[0][j] + groups[1][j]) / 2.0;
      momentum[j] = c.outer.momentum * momentum[j] + delta;
      theta[j] -= c.outer.lr * (delta + c.outer.momentum * momentum[j]);
    }
  }
  CHECK(relative_difference(parameters(), std::vector<float>(theta.begin(), theta.end())) < 1e-5);
}

TEST_CASE_FIXTURE(fixture, "groups end with the same bits on any threads, whoever leaves") {
  make_sync("nesterov", 0.7);
  c.inner.optimizer = "adamw";
  c.quota.policy = "dylu";
  c.workers.jitter = 0.2;
  c.workers.events = {"9 2 leave 20", "15 0-1 leave 30"};
  c.outer.group_size = 2;
  c.outer.group_rounds = 3;
  c.run.threads = 1;
  const auto one = run();
  CHECK(one.outcome == "finished");
  c.run.threads = 3;
  CHECK(run().params_sha256 == one.params_sha256);
}

// -- cosines ------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(fixture, "updates are compared with each other when that is asked for") {
  c.workers.count = 3;
  c.data.shard_sampling = "balanced";
  run();
  for (const auto& u : lines("updates.jsonl")) CHECK(u["cosine_to_others"].is_null());
  c.record.pairwise_cosines = true;
  run();
  std::size_t compared = 0;
  for (const auto& u : lines("updates.jsonl")) {
    if (u["cosine_to_others"].is_null()) continue;
    CHECK(std::abs(u["cosine_to_others"].get<double>()) <= 1.0);
    compared += 1;
  }
  CHECK(compared == 39);  // of 40 all but the first

  // In a round of two, both have the cosine between them.
  c.workers.count = 2;
  c.outer.mode = "sync";
  c.outer.optimizer = "sgd";
  run();
  std::map<std::uint64_t, std::vector<double>> rounds;
  for (const auto& u : lines("updates.jsonl")) {
    rounds[u["version"].get<std::uint64_t>()].push_back(u["cosine_to_others"].get<double>());
  }
  CHECK(rounds.size() == 20);
  for (const auto& [version, cosines] : rounds) {
    REQUIRE(cosines.size() == 2);
    CHECK(cosines[0] == cosines[1]);
  }
}
