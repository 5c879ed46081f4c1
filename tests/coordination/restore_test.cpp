// A run that is saved and restored again and again makes the same decisions as one that is not.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "config/random.hpp"
#include "coordination/coordinator.hpp"
#include "coordination/event_queue.hpp"
#include "coordination/state_json.hpp"

using namespace rubato;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

coordinator::setting facts() {
  coordinator::setting s;
  s.shard_weights = {3.0, 1.0, 2.0};
  s.elements = 10;
  s.update_bytes = s.version_bytes = s.first_version_bytes = 40;
  s.tokens_per_step = 2;
  return s;
}

json describe(const action& a) {
  if (const auto* x = std::get_if<assign_action>(&a)) {
    return {"assign", x->work, x->group};
  }
  if (const auto* x = std::get_if<apply_action>(&a)) {
    return {"apply", x->updates, x->weights, x->kind, x->inner_lr, x->version, x->group};
  }
  if (const auto* x = std::get_if<settle_action>(&a)) {
    const auto& r = x->record;
    return {"settle",    r.work,   r.update, r.what,      r.version,
            r.staleness, r.weight, r.tokens, r.settled_at};
  }
  if (const auto* x = std::get_if<evaluate_action>(&a)) return {"evaluate", x->version};
  return {"finish", std::get<finish_action>(a).interrupted};
}

/// A file holds CBOR, so the test goes through it.
json stored(const json& state) {
  return json::from_cbor(json::to_cbor(state));
}

/// What decides in a run, and who answers its assignments.
struct deciders {
  explicit deciders(const config& c) : core(c, facts()) { clock.plan(core.changes()); }

  deciders(const config& c, const deciders& saved) : deciders(c) {
    core.restore(stored(saved.core.state()));
    clock.restore(stored(saved.clock.state()));
    for (const auto& work : core.outstanding()) clock.expect(work.due(), work.id);
    latest = saved.latest;
  }

  /// The actions as text. NaN is not equal to itself, as text it is.
  std::string note(const action_list& actions) {
    std::string text;
    for (const auto& a : actions) {
      if (const auto* x = std::get_if<assign_action>(&a)) {
        clock.expect(x->work.due(), x->work.id);
        latest[x->work.id.worker] = x->work;
      } else if (const auto* x = std::get_if<settle_action>(&a)) {
        clock.cancel(x->record.work.id);
      }
      text += describe(a).dump() + "\n";
    }
    return text;
  }

  /// Takes the next event, or what `random` puts in its place.
  std::string advance(random_generator random) {
    clock.set_window_end(core.window_end());
    const auto event = clock.next();
    if (!event) return "nothing";
    const auto worker = static_cast<worker_id>(random.below(4));
    switch (random.below(24)) {
      case 0:
        return note(core.worker_lost(clock.now(), worker));
      case 1:
      case 2:
        return note(core.worker_joined(clock.now(), worker));
      case 3:  // an old update once more
        return note(core.update_arrived(clock.now(), {.id = latest[worker].id}));
      default:
        break;
    }
    clock.take();
    if (const auto* round = std::get_if<update_id>(&event->what)) {
      const auto& work = latest.at(round->worker);
      arrival update;
      update.id = *round;
      update.base_version = work.base_version;
      update.elements = 10;
      update.finite = random.below(10) != 0;
      update.norm = random.below(8) == 0 ? 100.0 : 1.0;
      update.compute_time = work.timing.compute + run_time(random.below(1000));
      return note(core.update_arrived(event->time, update));
    }
    if (const auto* change = std::get_if<worker_change>(&event->what)) {
      return note(core.worker_changed(event->time, *change));
    }
    return note(core.tick(event->time));
  }

  coordinator core;
  event_queue clock;
  std::map<worker_id, assignment> latest;
};

std::vector<config> kinds_of_runs() {
  config c;
  c.run.local_steps = 1500;
  c.quota.local_steps = 10;
  c.quota.policy = "dylu";
  c.evaluate.every_local_steps = 90;
  c.workers.jitter = 0.3;
  c.workers.events = {"20 3 leave 40", "31 1 slow-down 3 90", "50 0 pause 2.5", "200 2 pace 0.1"};
  c.window.grace_seconds = 0.5;
  std::vector<config> result{c};
  c.outer.norm_guard = 5.0;

  auto& measured = result.emplace_back(c);
  measured.quota.speeds = "measured";
  measured.outer.accumulate = 3;
  measured.staleness.limit = 2;
  measured.staleness.unit = "arrivals";
  measured.data.shard_sampling = "least-visited";

  auto& overlapped = result.emplace_back(c);
  overlapped.network.overlap = true;
  overlapped.network.latency_seconds = {0.5, 2.0, 0.0, 12.0};
  overlapped.window.grace_seconds = 0.0;

  auto& sync = result.emplace_back(c);
  sync.outer.mode = "sync";
  sync.outer.optimizer = "nesterov";
  sync.quota.policy = "fixed";
  sync.window.quorum = 3;
  sync.staleness.weight = "polynomial";

  auto& staged = result.emplace_back(c);
  staged.outer.mode = "sync";
  staged.outer.optimizer = "nesterov";
  staged.window.grace_seconds = 0.0;
  staged.quota.stages = {"0 data-parallel", "40 5", "600 12"};

  auto& grouped = result.emplace_back(c);
  grouped.outer.mode = "sync";
  grouped.outer.optimizer = "sgd";
  grouped.quota.policy = "fixed";
  grouped.outer.group_size = 2;
  grouped.outer.group_rounds = 3;
  return result;
}

}  // namespace

TEST_CASE("a coordinator restored at random moments decides as one that went on all the time") {
  std::uint64_t kind = 0;
  for (const auto& c : kinds_of_runs()) {
    CAPTURE(kind++);
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      CAPTURE(seed);
      auto original = std::make_unique<deciders>(c);
      auto other = std::make_unique<deciders>(c);
      for (worker_id w = 0; w < 4; ++w) {
        CHECK(original->note(original->core.worker_joined(0s, w)) ==
              other->note(other->core.worker_joined(0s, w)));
      }
      std::uint64_t step = 0;
      for (; step < 4000 && !original->core.finished(); ++step) {
        const random_generator random(seed, random_stream::test, {step});
        const auto expected = original->advance(random);
        REQUIRE(other->advance(random) == expected);
        if (expected == "nothing") break;
        if (random_generator(seed, random_stream::test, {step, 1}).below(5) == 0) {
          other = std::make_unique<deciders>(c, *other);
        }
        for (worker_id w = 0; w < 4; ++w) {
          REQUIRE(other->core.quota(w) == original->core.quota(w));
        }
        REQUIRE(other->core.window_end() == original->core.window_end());
        REQUIRE(other->core.stranded() == original->core.stranded());
      }
      CHECK(step > 50);
      CHECK(other->core.finished() == original->core.finished());
      CHECK(other->core.state().dump() == original->core.state().dump());
      const auto totals = original->core.totals(original->clock.now());
      const auto others = other->core.totals(original->clock.now());
      for (worker_id w = 0; w < 4; ++w) CHECK(others[w].compute_time == totals[w].compute_time);
    }
  }
}

TEST_CASE("a state that is not one of this config is refused") {
  const config c;
  const deciders saved(c);
  const auto good = saved.core.state();
  const auto refused = [&](const std::string& name, const json& value) {
    auto bad = good;
    bad[name] = value;
    deciders fresh(c);
    try {
      fresh.core.restore(bad);
    } catch (const json::exception&) {
      return true;
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  CHECK(refused("version", "three"));
  CHECK(refused("stage", 1));
  CHECK(refused("shards", {{"position", {1}}, {"visits", {1}}, {"learned", {1}}}));
  CHECK(refused("groups", {{0, 0, 0, 0}}));
  CHECK(refused("norms", {{{"kind", 0}, {"remembered", "all"}}}));
  CHECK_FALSE(refused("version", 3));
  event_queue clock;
  CHECK_THROWS_AS(clock.restore({{"now", 5}, {"changes_taken", 1}}), std::invalid_argument);
}
