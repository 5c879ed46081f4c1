// Batches that are made on several threads, at uneven speed, in a run of the real actors.
#include "actors/data_loader.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "tests/actors/run_fixture.hpp"

using namespace rubato;

namespace {

/// The points, each of which takes a while to find, and some of which cannot be found at all.
class slow_points final : public dataset {
 public:
  explicit slow_points(std::uint64_t missing = static_cast<std::uint64_t>(-1))
      : missing_(missing) {}

  std::size_t shards() const override { return points_.shards(); }
  shard_info info(std::size_t shard) const override { return points_.info(shard); }
  std::uint64_t shard_size(std::size_t shard) const override { return points_.shard_size(shard); }
  data_shape shape() const override { return points_.shape(); }
  double bytes_per_token() const override { return 1.0; }
  std::int64_t tokens_per_batch() const override { return 1; }
  batch training_batch(std::size_t shard, std::uint64_t position) const override {
    if (position == missing_) throw std::runtime_error("there is no such point");
    random_generator random(calls_++, random_stream::test);
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(500)));
    return points_.training_batch(shard, position);
  }
  const std::vector<batch>& held_out(std::size_t shard) const override {
    return points_.held_out(shard);
  }
  std::vector<baseline> baselines() const override { return {}; }
  bool has_slow_batches() const override { return true; }

 private:
  fake::points points_{4};
  std::uint64_t missing_;
  mutable std::atomic<std::uint64_t> calls_ = 0;
};

struct fixture : fake::run_fixture {
  run_summary run_on(std::shared_ptr<const dataset> slow) {
    c.run.directory = (root / std::to_string(runs++)).string();
    run_parts parts;
    parts.data = std::move(slow);
    parts.make_learner = [] { return std::make_unique<fake::quadratic>(); };
    parts.initialize = [](learner&) {};
    return run_training(c, parts);
  }
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "the same bits come out on any number of loader threads") {
  const auto reference = run();
  for (const int threads : {0, 1, 2, 5}) {
    CAPTURE(threads);
    c.data.loader_threads = threads;
    CHECK(run_on(std::make_shared<slow_points>()).params_sha256 == reference.params_sha256);
  }
}

TEST_CASE_FIXTURE(fixture, "data that cannot be read on a loader thread ends the run") {
  for (const int threads : {0, 1, 3}) {
    CAPTURE(threads);
    c.data.loader_threads = threads;
    CHECK_THROWS_WITH_AS(run_on(std::make_shared<slow_points>(33)),
                         "data loader: there is no such point", run_error);
  }
}

TEST_CASE_FIXTURE(fixture, "rounds that are dropped take their batches along") {
  // Workers leave in mid-round, and their lanes go on with other rounds.
  c.workers.events = {"0.5 2 leave 1", "1 1 leave 2", "2 all leave 0.5", "3 0 leave"};
  c.quota.local_steps = 40;
  c.data.loader_threads = 3;
  const auto first = run_on(std::make_shared<slow_points>());
  c.data.loader_threads = 1;
  CHECK(run_on(std::make_shared<slow_points>()).params_sha256 == first.params_sha256);
}
