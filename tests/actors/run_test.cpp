#include "actors/run.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "actors/node.hpp"
#include "actors/parameter_file.hpp"
#include "actors/server.hpp"
#include "config/error.hpp"
#include "coordination/schedule.hpp"
#include "model/local_round.hpp"
#include "recovery/snapshot.hpp"
#include "storage/checkpoint_reader.hpp"
#include "storage/safetensors.hpp"
#include "tests/actors/run_fixture.hpp"

using namespace rubato;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

using fixture = fake::run_fixture;
using fake::relative_difference;

TEST_CASE_FIXTURE(fixture, "a run trains, and its directory accounts for every round") {
  const auto s = run();
  CHECK(s.outcome == "finished");
  CHECK(s.local_steps == 400);
  CHECK(s.tokens == 400);
  CHECK(s.epochs == doctest::Approx(0.1));  // four shards of 1000 points
  CHECK(s.updates.applied == 40);
  CHECK(s.server_version == 40);
  CHECK(s.updates.run_ended == 3);
  CHECK(s.utilisation == doctest::Approx(1.0));
  CHECK(s.staleness.max > 3);
  CHECK(s.final->loss < 0.9 * lines("metrics.jsonl").front()["loss"].get<double>());

  const auto updates = lines("updates.jsonl");
  REQUIRE(updates.size() == 43);
  std::int64_t steps = 0;
  double time = 0.0;
  for (const auto& u : updates) {
    CHECK(u["settled_seconds"] >= time);
    time = u["settled_seconds"];
    if (u["fate"] == "applied") steps += u["steps"].get<std::int64_t>();
  }
  CHECK(steps == 400);
  CHECK(time == doctest::Approx(s.virtual_seconds));

  const auto metrics = lines("metrics.jsonl");
  REQUIRE(metrics.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(metrics[i]["local_steps"] == 100 * i);

  for (const char* name : {"config.toml", "summary.json", "parameters.safetensors"}) {
    CHECK(fs::exists(fs::path(c.run.directory) / name));
  }
}

TEST_CASE_FIXTURE(fixture, "the same bits come out on any number of threads, however they race") {
  c.quota.policy = "dylu";
  c.workers.jitter = 0.2;
  c.workers.events = {"3 2 leave 4", "2 1 slow-down 3 9", "5 0 pause 2.5", "12 0-1 leave 1"};
  c.window.grace_seconds = 0.5;
  std::atomic<std::uint64_t> calls{0};
  const auto dawdle = [&calls] {
    random_generator random(calls++, random_stream::test);
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(300)));
  };
  c.run.threads = 1;
  const auto reference = run();
  const auto reference_updates = lines("updates.jsonl");
  for (const int threads : {1, 2, 4}) {
    c.run.threads = threads;
    const auto again = run(dawdle);
    CHECK(again.params_sha256 == reference.params_sha256);
    CHECK(lines("updates.jsonl") == reference_updates);
  }
  c.run.seed = 2;
  CHECK(run().params_sha256 != reference.params_sha256);
}

TEST_CASE_FIXTURE(fixture, "delayed Nesterov on workers of one speed is synchronous Nesterov") {
  c.workers.heterogeneity = "none";
  c.data.shard_sampling = "fixed";
  c.inner.warmup_steps = 0;
  c.inner.final_lr = c.inner.lr;  // the schedules are counted differently, so have none
  run();
  const auto delayed = parameters();
  c.outer.mode = "sync";
  c.outer.optimizer = "nesterov";
  const auto s = run();
  CHECK(s.server_version == 10);
  CHECK(relative_difference(delayed, parameters()) < 1e-6);

  c.outer.lr = 0.69;  // the comparison can fail
  run();
  CHECK(relative_difference(delayed, parameters()) > 1e-4);
}

TEST_CASE_FIXTURE(fixture, "one worker with outer SGD of rate 1 is a bare loop, bit for bit") {
  c.workers.count = 1;
  c.workers.heterogeneity = "none";
  c.outer.optimizer = "sgd";
  c.outer.lr = 1.0;
  run();

  fake::quadratic model;
  const auto optimizer = make_inner_optimizer(c.inner, model.layout());
  const auto trainable = model.layout().end(section::trainable);
  inner_state state;
  std::vector<float> theta(trainable, 0.0f);
  const auto updates = lines("updates.jsonl");
  REQUIRE(updates.size() == 40);
  for (const auto& u : updates) {
    std::copy(theta.begin(), theta.end(), model.parameters().begin());
    const rate_span rates{u["rate_span"]["start"], u["rate_span"]["total"],
                          u["rate_span"]["warmup"]};
    for (std::uint64_t i = 0; i < 10; ++i) {
      model.compute_gradient(data->training_batch(u["shard"].get<std::size_t>(),
                                                  u["data_position"].get<std::uint64_t>() + i));
      optimizer->step(model.parameters().first(trainable), model.gradient().first(trainable), state,
                      learning_rate(c.inner, rates, static_cast<std::int64_t>(i)));
    }
    for (std::size_t i = 0; i < trainable; ++i) {
      theta[i] = theta[i] - (theta[i] - model.parameters()[i]);
    }
  }
  std::vector<float> expected;
  for (const auto& t : model.layout().tensors()) {
    expected.insert(expected.end(), theta.begin() + static_cast<std::ptrdiff_t>(t.offset),
                    theta.begin() + static_cast<std::ptrdiff_t>(t.offset + t.size));
  }
  CHECK(parameters() == expected);
}

TEST_CASE_FIXTURE(fixture, "synchronous rounds of one SGD step are SGD on the large batch") {
  c.outer.mode = "sync";
  c.outer.optimizer = "sgd";
  c.outer.lr = 1.0;
  c.inner.optimizer = "sgd";
  c.inner.weight_decay = 0.0;
  c.inner.clip = 0.0;
  c.quota.local_steps = 1;
  c.data.shard_sampling = "fixed";
  run();

  const rate_span rates = make_schedule(c.inner, c.run.local_steps, 0.25);
  std::vector<double> theta(fake::dimension, 0.0);
  for (std::int32_t round = 0; round < 100; ++round) {
    std::vector<double> gradient(fake::dimension, 0.0);
    for (std::int32_t shard = 0; shard < 4; ++shard) {
      const auto target = fake::point(shard, round);
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        gradient[i] += (theta[i] - target[i]) / 4.0;
      }
    }
    const double lr = learning_rate(c.inner, rates, round);
    for (std::size_t i = 0; i < theta.size(); ++i) theta[i] -= lr * gradient[i];
  }
  CHECK(relative_difference(parameters(), std::vector<float>(theta.begin(), theta.end())) < 1e-5);
}

TEST_CASE_FIXTURE(fixture, "an exception in a lane ends the run with its text") {
  std::atomic<int> calls{0};
  const auto fail = [&calls] {
    if (++calls == 57) throw std::runtime_error("step 57 is bad");
  };
  CHECK_THROWS_WITH_AS(run(fail), "lane: step 57 is bad", run_error);
}

TEST_CASE_FIXTURE(fixture, "data that cannot be read ends the run with the reason") {
  data->failing_shard = 2;
  CHECK_THROWS_WITH_AS(run(), "lane: the disk is on fire", run_error);
}

TEST_CASE_FIXTURE(fixture, "a model that cannot be evaluated ends the run with the reason") {
  data->failing_held_out = true;
  CHECK_THROWS_WITH_AS(run(), "evaluator: no held-out data", run_error);
}

TEST_CASE_FIXTURE(fixture, "an observer that throws ends the run with the reason") {
  struct broken : run_observer {
    void evaluated(const evaluation&) override { throw std::runtime_error("cannot look"); }
  };
  observer = std::make_shared<broken>();
  CHECK_THROWS_WITH_AS(run(), "server: cannot look", run_error);
}

TEST_CASE_FIXTURE(fixture, "memory that runs out is said to have done so, and what helps") {
  const auto fail = [] { throw std::bad_alloc(); };
  CHECK_THROWS_WITH_AS(run(fail),
                       "lane: out of memory; use a smaller model or batch, or fewer workers or "
                       "threads",
                       run_error);
}

TEST_CASE_FIXTURE(fixture, "a worker whose gradient overflowed is refused once, then goes on") {
  c.run.threads = 1;
  c.inner.clip = 0.0;
  data->poisoned_position = 15;  // of shard 0: in some worker's round
  const auto s = run();
  CHECK(s.outcome == "finished");
  CHECK(s.updates.rejected == 1);
  CHECK(std::isfinite(s.final->loss));
  int refused = 0;
  for (const auto& u : lines("updates.jsonl")) {
    if (u["fate"] != "not_finite") continue;
    refused += 1;
    CHECK(u["shard"] == 0);
  }
  CHECK(refused == 1);
}

TEST_CASE_FIXTURE(fixture, "an update that is far too long is refused once, and harms nothing") {
  c.inner.optimizer = "momentum";  // which would carry it over into the rounds to come
  c.inner.clip = 0.0;
  c.inner.warmup_steps = 0;
  data->far_away_position = 55;
  SUBCASE("with a limit") {
    c.outer.norm_guard = 8.0;
    const auto s = run();
    CHECK(s.outcome == "finished");
    CHECK(s.updates.rejected == 1);
    CHECK(s.updates.rejected_as == std::map<std::string, std::uint64_t>{{"outlier", 1}});
    CHECK(s.final->loss < 100.0);
    const auto updates = lines("updates.jsonl");
    const auto refused = std::find_if(updates.begin(), updates.end(),
                                      [](const auto& u) { return u["fate"] == "outlier"; });
    REQUIRE(refused != updates.end());
    CHECK((*refused)["shard"] == 0);
    CHECK((*refused)["norm"] > 1000.0);
    CHECK((*refused)["weight"] == 0.0);
    const auto next = std::find_if(refused + 1, updates.end(), [&](const auto& u) {
      return u["worker"] == (*refused)["worker"];
    });
    REQUIRE(next != updates.end());
    CHECK((*next)["fate"] == "applied");
    CHECK((*next)["base"] >= (*refused)["version"]);
    CHECK((*next)["norm"] < 100.0);
  }
  SUBCASE("without one") {
    const auto s = run();
    CHECK(s.updates.rejected == 0);
    CHECK(s.final->loss > 1e6);
  }
}

TEST_CASE_FIXTURE(fixture, "a run that diverged ends early, at the same step on any threads") {
  c.inner.optimizer = "sgd";
  c.inner.lr = 50.0;  // from the minimum 49 times as far with each step, until updates overflow
  c.inner.final_lr = 50.0;
  c.inner.clip = 0.0;
  c.inner.warmup_steps = 0;
  c.run.local_steps = 100'000;
  c.run.threads = 1;
  const auto reference = run();
  CHECK(reference.outcome == "diverged");
  CHECK(reference.last_finite_version == 0);
  CHECK(reference.local_steps >= 300);
  CHECK(reference.local_steps < 600);
  CHECK(reference.updates.rejected_as.at("not_finite") > 10);
  CHECK(std::isinf(reference.final->loss));
  CHECK(fs::exists(fs::path(c.run.directory) / "checkpoints/000000000000.checkpoint"));
  const auto updates = lines("updates.jsonl");
  c.run.threads = 4;
  const auto again = run([] { std::this_thread::sleep_for(50us); });
  CHECK(again.local_steps == reference.local_steps);
  CHECK(again.params_sha256 == reference.params_sha256);
  CHECK(lines("updates.jsonl") == updates);

  c.run.local_steps = 1000;
  c.evaluate.diverged_after = 0;
  const auto whole = run();
  CHECK(whole.outcome == "diverged");
  CHECK(whole.local_steps >= 1000);
}

TEST_CASE_FIXTURE(fixture, "on the wall clock a run that diverged ends early, too") {
  c.clock.mode = "wall";
  c.inner.optimizer = "sgd";
  c.inner.lr = 50.0;
  c.inner.final_lr = 50.0;
  c.inner.clip = 0.0;
  c.inner.warmup_steps = 0;
  c.run.local_steps = 1'000'000'000;
  const auto s = run();
  CHECK(s.outcome == "diverged");
  CHECK(s.updates.run_ended > 0);
}

TEST_CASE_FIXTURE(fixture, "rounds that never came in have no loss") {
  run();
  for (const auto& u : lines("updates.jsonl")) {
    CHECK(u["loss"].is_null() == (u["fate"] == "run_ended"));
  }
}

TEST_CASE_FIXTURE(fixture, "a run that is stopped at once has a summary all the same") {
  std::atomic<bool> stop{true};
  const auto s = run([] { std::this_thread::sleep_for(5ms); }, &stop);
  CHECK(s.outcome == "interrupted");
  CHECK(s.final.has_value());
}

TEST_CASE_FIXTURE(fixture, "a stopped run writes everything and says that it was interrupted") {
  c.run.local_steps = 1'000'000'000;
  std::atomic<bool> stop{false};
  std::atomic<int> calls{0};
  const auto s = run(
      [&] {
        if (++calls == 200) stop = true;
        std::this_thread::sleep_for(100us);
      },
      &stop);
  CHECK(s.outcome == "interrupted");
  CHECK(s.updates.run_ended > 0);
  CHECK(s.final.has_value());
  CHECK(s.final->version == s.server_version);
  CHECK(lines("updates.jsonl").size() == s.updates.applied + s.updates.run_ended);
  CHECK(parameters().size() == fake::dimension);
}

TEST_CASE_FIXTURE(fixture, "a run starts from the parameters of another") {
  const auto first = run();
  c.run.init = (fs::path(c.run.directory) / "parameters.safetensors").string();
  c.run.directory = (root / "second").string();
  run_parts parts;
  parts.data = data;
  parts.make_learner = [] { return std::make_unique<fake::quadratic>(); };
  run_training(c, parts);
  CHECK(lines("metrics.jsonl").front()["loss"] == doctest::Approx(first.final->loss));
}

TEST_CASE_FIXTURE(fixture,
                  "a run's parameters are read from its file, its checkpoint or its folder") {
  c.checkpoint.every_versions = 1;
  const auto hash = run().params_sha256;
  const auto layout = fake::quadratic().layout();
  const auto loaded = [&](const std::string& path) {
    parameter_buffer buffer(layout.size());
    load_parameters(path, layout, buffer);
    return parameters_sha256(layout, buffer.span());
  };
  const auto& directory = c.run.directory;
  const auto file = find_parameters(directory);
  CHECK(file == (fs::path(directory) / "parameters.safetensors").string());
  CHECK(loaded(file) == hash);
  CHECK(loaded(directory) == hash);

  // While a run has not ended, its newest checkpoint counts, which knows its own hash, too.
  fs::remove(file);
  const auto newest = find_parameters(directory);
  REQUIRE(newest.ends_with(".checkpoint"));
  checkpoint_reader checkpoint(posix_file_system(), newest);
  const auto record = snapshot_reader(checkpoint).read(record_part);
  CHECK(loaded(newest) == record.values["sha256"].get<std::string>());
  CHECK(loaded(directory) == loaded(newest));
  fs::remove_all(fs::path(directory) / "checkpoints");
  CHECK_THROWS_AS(find_parameters(directory), usage_error);
  CHECK_THROWS_AS(find_parameters(directory + "/nothing"), usage_error);
}

TEST_CASE_FIXTURE(fixture, "parameters of another model are refused by name") {
  const auto layout = fake::quadratic().layout();
  parameter_buffer buffer(layout.size());
  const auto path = (root / "p.safetensors").string();
  const std::vector<float> values(32, 1.0f);
  const std::span<const float> all(values);

  write_safetensors(path, {{"first", {5}, all.first(5)}});
  CHECK_THROWS_WITH_AS(load_parameters(path, layout, buffer),
                       (path + ": has no tensor \"second\", which the model needs").c_str(),
                       usage_error);
  write_safetensors(path, {{"first", {5}, all.first(5)}, {"second", {4, 4}, all.first(16)}});
  CHECK_THROWS_WITH_AS(
      load_parameters(path, layout, buffer),
      (path + ": tensor \"second\" has shape [4, 4], the model needs [16]").c_str(), usage_error);
  write_safetensors(path, {{"first", {5}, all.first(5)},
                           {"second", {16}, all.first(16)},
                           {"third", {1}, all.first(1)}});
  CHECK_THROWS_WITH_AS(load_parameters(path, layout, buffer),
                       (path + ": tensor \"third\" is not part of the model").c_str(), usage_error);
}

TEST_CASE_FIXTURE(fixture, "a node that is killed in mid-run ends the run with the reason") {
  auto run = std::make_shared<run_context>();
  run->settings = c;
  run->settings.run.local_steps = 1'000'000'000;
  run->data = data;
  run->make_learner = [] { return std::make_unique<fake::quadratic>(); };
  run->layout = fake::quadratic().layout();
  run->initial = std::make_shared<parameter_buffer>(run->layout.size());
  run->shard_weights.assign(4, 1.0);
  struct join_signal : run_observer {
    std::promise<void> joined;
    void started(const run_plan&) override { joined.set_value(); }
  };
  const auto signal = std::make_shared<join_signal>();
  server_setup setup;
  setup.run = run;
  setup.observer = signal;
  setup.directory = std::make_shared<const run_directory>((root / "killed").string(), "killed");
  setup.result = std::make_shared<run_result>();
  setup.plan.workers.resize(4);
  run->deltas = std::make_shared<buffer_pool>(run->layout.size());

  initialize_messages();
  caf::actor_system_config system_config;
  configure(system_config, 2);
  caf::actor_system system(system_config);
  const auto reason = std::make_shared<std::promise<std::string>>();
  {
    const auto main_server = system.spawn<caf::detached>(server, setup);
    when_gone(main_server, [reason](const caf::error& e) { reason->set_value(explain(e)); });
    const auto main_node = system.spawn(node, run, host_actor(main_server),
                                        std::vector<worker_id>{0, 1, 2, 3}, std::int64_t{2});
    REQUIRE(signal->joined.get_future().wait_for(10s) == std::future_status::ready);
    caf::anon_send_exit(main_node, caf::exit_reason::kill);
  }
  auto text = reason->get_future();
  REQUIRE(text.wait_for(10s) == std::future_status::ready);
  CHECK(text.get() == "the node is gone: kill");
  CHECK_FALSE(setup.result->summary.has_value());
  system.await_all_actors_done();
}
