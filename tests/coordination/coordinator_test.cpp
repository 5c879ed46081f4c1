#include "coordination/coordinator.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "coordination/event_queue.hpp"

using namespace rubato;
using namespace std::chrono_literals;

namespace {

coordinator::setting facts(std::size_t shards = 4) {
  coordinator::setting s;
  s.shard_weights.assign(shards, 1.0);
  s.elements = 10;
  s.update_bytes = s.version_bytes = s.first_version_bytes = 40;
  s.tokens_per_step = 2;
  return s;
}

config base_config() {
  config c;
  c.run.local_steps = 1'000'000;
  c.quota.policy = "fixed";
  c.quota.local_steps = 10;
  c.evaluate.every_local_steps = 1'000'000;
  return c;
}

/// Plays server, worker and clock: keeps all actions by kind and answers assignments on request.
struct play {
  explicit play(const config& c, coordinator::setting s = facts()) : core(c, std::move(s)) {
    clock.plan(core.changes());
    for (worker_id w = 0; w < c.workers.count; ++w) note(core.worker_joined(0s, w));
    tick(0s);
  }

  void note(const action_list& actions) {
    for (const auto& a : actions) {
      if (const auto* x = std::get_if<assign_action>(&a)) {
        assigned.push_back(x->work);
        from_groups.push_back(x->group);
        latest[x->work.id.worker] = x->work;
        clock.expect(x->work.due(), x->work.id);
      } else if (const auto* x = std::get_if<apply_action>(&a)) {
        applied.push_back(*x);
      } else if (const auto* x = std::get_if<settle_action>(&a)) {
        settled.push_back(x->record);
        clock.cancel(x->record.work.id);
      } else if (const auto* x = std::get_if<evaluate_action>(&a)) {
        evaluated.push_back({x->version, core.local_steps()});
      } else if (std::holds_alternative<finish_action>(a)) {
        finishes += 1;
      }
    }
  }

  arrival answer(const assignment& work) const {
    arrival a;
    a.id = work.id;
    a.base_version = work.base_version;
    a.elements = 10;
    a.norm = 1.0;
    a.loss = 2.0;
    a.compute_time = work.timing.compute;
    return a;
  }

  void arrive(run_time now, worker_id w) { note(core.update_arrived(now, answer(latest.at(w)))); }
  void tick(run_time now) { note(core.tick(now)); }

  /// Runs on the virtual clock until the run ends or `limit` is passed.
  void run(run_time limit = run_time::max()) {
    while (!core.finished()) {
      clock.set_window_end(core.window_end());
      const auto event = clock.next();
      if (!event || event->time > limit) return;
      clock.take();
      if (const auto* round = std::get_if<update_id>(&event->what)) {
        arrive(event->time, round->worker);
      } else if (const auto* change = std::get_if<worker_change>(&event->what)) {
        note(core.worker_changed(event->time, *change));
      } else {
        tick(event->time);
      }
    }
  }

  std::vector<fate> fates() const {
    std::vector<fate> result;
    for (const auto& r : settled) result.push_back(r.what);
    return result;
  }

  coordinator core;
  event_queue clock;
  std::vector<assignment> assigned;
  std::vector<std::optional<group_id>> from_groups;  // where they start
  std::map<worker_id, assignment> latest;
  std::vector<apply_action> applied;
  std::vector<update_record> settled;
  std::vector<std::pair<std::uint64_t, std::int64_t>> evaluated;
  int finishes = 0;
};

}  // namespace

TEST_CASE("at the start every worker gets version 0 and a shard of its own") {
  play p(base_config());
  REQUIRE(p.assigned.size() == 4);
  std::vector<bool> shard(4, false);
  for (worker_id w = 0; w < 4; ++w) {
    const auto& work = p.assigned[w];
    CHECK(work.id == update_id{w, 1, 0});
    CHECK(work.base_version == 0);
    CHECK(work.steps == 10);
    CHECK_FALSE(shard[work.shard]);
    shard[work.shard] = true;
  }
  CHECK(p.evaluated == std::vector<std::pair<std::uint64_t, std::int64_t>>{{0, 0}});
}

TEST_CASE("an asynchronous update is applied on arrival; its staleness counts versions") {
  play p(base_config());
  p.arrive(6s, 0);
  p.tick(6s);
  p.arrive(7s, 1);
  p.tick(7s);
  p.arrive(12s, 0);
  p.tick(12s);
  p.arrive(15s, 2);
  REQUIRE(p.settled.size() == 4);
  CHECK(p.settled[0].staleness == 0);
  CHECK(p.settled[1].staleness == 1);  // version 1 was made in the meantime
  CHECK(p.settled[2].staleness == 1);  // started from 1, version 2 was made in the meantime
  CHECK(p.settled[3].staleness == 3);
  CHECK(p.core.version() == 4);
  CHECK(p.core.local_steps() == 40);
  CHECK(p.latest[0].base_version == 3);
}

TEST_CASE("arrivals with one timestamp are all settled before anybody is assigned") {
  play p(base_config());
  p.arrive(6s, 0);
  p.arrive(6s, 1);
  CHECK(p.assigned.size() == 4);
  p.tick(6s);
  REQUIRE(p.assigned.size() == 6);
  CHECK(p.assigned[4].base_version == 2);
  CHECK(p.assigned[5].base_version == 2);
}

TEST_CASE("with DyLU and half a second of grace, three of the four toy workers restart together") {
  // 50, 38, 19 and 8 steps end at 29.0, 28.5, 28.69 and 26.64 s: 29.0 is the window's last moment.
  auto c = base_config();
  c.quota.policy = "dylu";
  c.quota.local_steps = 50;
  c.window.grace_seconds = 0.5;
  play p(c);
  p.run(29s);
  REQUIRE(p.settled.size() == 4);
  REQUIRE(p.assigned.size() == 8);
  CHECK(p.assigned[4].id.worker == 3);
  CHECK(p.assigned[4].assigned_at == 27140ms);
  CHECK(p.assigned[4].base_version == 1);
  for (std::size_t i : {5, 6, 7}) {
    CHECK(p.assigned[i].assigned_at == 29s);
    CHECK(p.assigned[i].base_version == 4);
  }
  SUBCASE("a nanosecond less of grace and the fastest starts a window of its own") {
    c.window.grace_seconds = 0.499999999;
    play q(c);
    q.run(29s);
    REQUIRE(q.assigned.size() == 7);
    CHECK(q.assigned[5].assigned_at == 29s - 1ns);
    CHECK(q.assigned[6].assigned_at == 29s - 1ns);
    CHECK(q.core.window_end() == 29s + 499999999ns);
  }
}

TEST_CASE("a window closes early when nobody is left to wait for") {
  auto c = base_config();
  c.workers.count = 2;
  c.window.grace_seconds = 100.0;
  play p(c);
  p.arrive(6s, 0);
  CHECK(p.core.window_end() == 106s);
  SUBCASE("because all have arrived") {
    p.arrive(8s, 1);
    CHECK(p.core.window_end() == 8s);
  }
  SUBCASE("because the last one joined again, its round abandoned") {
    p.note(p.core.worker_joined(8s, 1));
    CHECK(p.core.window_end() == 8s);
  }
  SUBCASE("because the last one was lost") {
    p.note(p.core.worker_lost(8s, 1));
    CHECK(p.core.window_end() == 8s);
    CHECK(p.fates() == std::vector<fate>{fate::applied, fate::abandoned});
  }
  p.tick(8s);
  CHECK(p.latest[0].assigned_at == 8s);
}

TEST_CASE("a duplicate is settled as such and never applied") {
  play p(base_config());
  const auto first = p.answer(p.latest[0]);
  p.note(p.core.update_arrived(6s, first));
  p.note(p.core.update_arrived(6s, first));
  CHECK(p.applied.size() == 1);
  p.tick(6s);
  p.note(p.core.update_arrived(7s, first));  // also after the next round was given out
  CHECK(p.applied.size() == 1);
  CHECK(p.core.version() == 1);
  CHECK(p.core.local_steps() == 10);
  CHECK(p.fates() == std::vector<fate>{fate::applied, fate::duplicate, fate::duplicate});
  CHECK(p.settled[2].tokens == 0);
}

TEST_CASE("a worker that was lost and returns has a new incarnation; its old update is refused") {
  play p(base_config());
  const auto old = p.answer(p.latest[2]);
  p.note(p.core.worker_lost(5s, 2));
  p.note(p.core.update_arrived(6s, old));
  p.note(p.core.worker_joined(7s, 2));
  p.tick(7s);
  CHECK(p.latest[2].id == update_id{2, 2, 0});
  p.note(p.core.update_arrived(8s, old));
  CHECK(p.fates() ==
        std::vector<fate>{fate::abandoned, fate::stale_incarnation, fate::stale_incarnation});
  CHECK(p.applied.empty());
  p.arrive(9s, 2);
  CHECK(p.applied.size() == 1);
}

TEST_CASE("a worker that retires hands in what it is at, gets nothing more, and may come back") {
  for (const bool overlap : {false, true}) {
    CAPTURE(overlap);
    auto c = base_config();
    c.network.overlap = overlap;
    play p(c);
    std::vector<assignment> rounds;
    for (const auto& work : p.assigned) {
      if (work.id.worker == 2) rounds.push_back(work);
    }
    REQUIRE(rounds.size() == (overlap ? 2 : 1));
    p.note(p.core.worker_retires(5s, 2));
    CHECK(p.fates().empty());
    const auto before = p.assigned.size();
    for (const auto& work : rounds) {
      p.note(p.core.update_arrived(6s, p.answer(work)));
      p.tick(6s);
    }
    CHECK(p.fates() == std::vector<fate>(rounds.size(), fate::applied));
    CHECK(p.assigned.size() == before);
    CHECK(p.core.quota(2) == 0);
    p.note(p.core.worker_retires(7s, 2));  // has left already
    p.note(p.core.worker_joined(8s, 2));
    p.tick(8s);
    CHECK(p.latest[2].id.incarnation == 2);
    CHECK(p.core.quota(2) == 10);
  }
}

TEST_CASE("a worker that retires while it waits for work is gone at once") {
  auto c = base_config();
  c.window.grace_seconds = 5.0;
  play p(c);
  p.arrive(6s, 2);
  p.note(p.core.worker_retires(7s, 2));
  CHECK(p.core.quota(2) == 0);
  const auto before = p.assigned.size();
  p.tick(11s);
  CHECK(p.assigned.size() == before);
  CHECK(p.fates() == std::vector<fate>{fate::applied});
}

TEST_CASE("joining again fences the incarnation before") {
  play p(base_config());
  p.note(p.core.worker_joined(1s, 0));
  CHECK(p.core.incarnation(0) == 2);
  CHECK(p.fates() == std::vector<fate>{fate::abandoned});
}

TEST_CASE("an update that cannot be right is refused, and its worker starts again") {
  play p(base_config());
  auto bad = p.answer(p.latest[0]);
  fate expected{};
  SUBCASE("not a number") {
    bad.finite = false, expected = fate::not_finite;
  }
  SUBCASE("overflowed norm") {
    bad.norm = std::numeric_limits<double>::infinity(), expected = fate::not_finite;
  }
  SUBCASE("another model") {
    bad.elements = 11, expected = fate::wrong_size;
  }
  SUBCASE("another base") {
    bad.base_version = 3, expected = fate::wrong_base;
  }
  p.note(p.core.update_arrived(6s, bad));
  CHECK(p.fates() == std::vector<fate>{expected});
  CHECK(p.applied.empty());
  CHECK(p.core.version() == 0);
  CHECK(p.core.local_steps() == 10);  // the budget was spent, if in vain
  p.tick(6s);
  CHECK(p.latest[0].id == update_id{0, 1, 1});
}

TEST_CASE("an update that is far longer than usual is refused, and its worker starts again") {
  auto c = base_config();
  c.outer.norm_guard = 5.0;
  play p(c);
  p.run(60s);
  REQUIRE(p.applied.size() > norm_guard::needed);
  const auto version = p.core.version();
  const auto steps = p.core.local_steps();
  const auto work = p.latest[0];
  auto huge = p.answer(work);
  huge.norm = 1e4;
  p.note(p.core.update_arrived(work.due(), huge));
  CHECK(p.settled.back().what == fate::outlier);
  CHECK(p.settled.back().weight == 0.0);
  CHECK(p.core.count(fate::outlier) == 1);
  CHECK(p.core.version() == version);
  CHECK(p.core.local_steps() == steps + 10);
  p.tick(work.due());
  CHECK(p.latest[0].id == update_id{0, 1, work.id.sequence + 1});
  CHECK(p.latest[0].base_version == version);
  p.note(p.core.update_arrived(work.due(), huge));
  CHECK(p.settled.back().what == fate::duplicate);
}

TEST_CASE("without a limit, and at first, updates of any length are applied") {
  auto c = base_config();
  SUBCASE("no limit") {}
  SUBCASE("a limit, but nothing to compare with") {
    c.outer.norm_guard = 5.0;
  }
  play p(c);
  if (c.outer.norm_guard == 0.0) p.run(60s);
  auto huge = p.answer(p.latest[0]);
  huge.norm = 1e30;
  p.note(p.core.update_arrived(p.latest[0].due(), huge));
  CHECK(p.settled.back().what == fate::applied);
}

TEST_CASE("gradients are no measure for pseudo-gradients") {
  auto c = base_config();
  c.outer.mode = "sync";
  c.outer.optimizer = "nesterov";
  c.outer.norm_guard = 5.0;
  c.quota.stages = {"0 10", "800 data-parallel"};
  play p(c);
  while (p.latest[0].kind == round_kind::local) {
    const auto now = p.latest[3].due();  // the slowest
    for (worker_id w = 0; w < 4; ++w) p.arrive(now, w);
    p.tick(now);
  }
  auto gradient = p.answer(p.latest[0]);
  gradient.norm = 1e3;
  p.note(p.core.update_arrived(p.latest[0].due(), gradient));
  CHECK(p.core.count(fate::outlier) == 0);
}

TEST_CASE("a version of which nothing comes is evaluated all the same, and again") {
  auto c = base_config();
  c.evaluate.every_local_steps = 100;
  play p(c);
  p.run(20s);
  const auto version = p.core.version();
  REQUIRE(version > 0);
  REQUIRE(p.core.local_steps() < 100);
  while (p.core.local_steps() < 500) {
    auto bad = p.answer(p.latest[0]);
    bad.finite = false;
    const auto now = p.latest[0].due();
    p.note(p.core.update_arrived(now, bad));
    p.tick(now);
  }
  using evaluations = std::vector<std::pair<std::uint64_t, std::int64_t>>;
  CHECK(p.evaluated ==
        evaluations{{0, 0}, {version, 200}, {version, 300}, {version, 400}, {version, 500}});
  p.arrive(p.latest[0].due(), 0);  // the next good one was due long ago
  CHECK(p.evaluated.back() == evaluations::value_type{version + 1, 510});
}

TEST_CASE("strangers and unassigned rounds change nothing") {
  play p(base_config());
  auto update = p.answer(p.latest[0]);
  update.id.worker = 99;
  p.note(p.core.update_arrived(1s, update));
  update.id = {0, 1, 1};
  p.note(p.core.update_arrived(1s, update));
  CHECK(p.fates() == std::vector<fate>{fate::unknown_worker, fate::not_assigned});
  CHECK(p.core.local_steps() == 0);
  p.arrive(6s, 0);
  CHECK(p.applied.size() == 1);
}

TEST_CASE("a refused or lost round's data counts as not learned, but its span is not used again") {
  auto c = base_config();
  c.workers.count = 1;
  play p(c, facts(1));
  auto bad = p.answer(p.latest[0]);
  bad.finite = false;
  p.note(p.core.update_arrived(6s, bad));
  p.tick(6s);
  CHECK(p.latest[0].data_position == 10);
  CHECK(p.latest[0].rates.start == 10);
}

TEST_CASE("a synchronous round waits for all, then makes one version in worker order") {
  auto c = base_config();
  c.outer.mode = "sync";
  play p(c);
  for (worker_id w : {3, 0, 2}) p.arrive(10s, w);
  CHECK_FALSE(p.core.window_end().has_value());
  CHECK(p.applied.empty());
  p.arrive(33s, 1);
  CHECK(p.core.window_end() == 33s);
  p.tick(33s);
  REQUIRE(p.applied.size() == 1);
  CHECK(p.applied[0].updates == std::vector<update_id>{{0, 1, 0}, {1, 1, 0}, {2, 1, 0}, {3, 1, 0}});
  CHECK(p.applied[0].weights == std::vector<double>(4, 1.0));
  CHECK(p.core.version() == 1);
  CHECK(p.assigned.size() == 8);
  for (const auto& record : p.settled) CHECK(record.staleness == 0);
}

TEST_CASE("a synchronous round goes on without a worker that was lost") {
  auto c = base_config();
  c.outer.mode = "sync";
  c.workers.count = 2;
  play p(c);
  p.arrive(10s, 0);
  p.note(p.core.worker_lost(12s, 1));
  p.tick(12s);
  CHECK(p.applied.size() == 1);
  CHECK(p.latest[0].assigned_at == 12s);
}

TEST_CASE("a quorum ends the round early; the late ones are stale updates of the next") {
  auto c = base_config();
  c.outer.mode = "sync";
  c.window.quorum = 3;
  play p(c);
  for (worker_id w : {0, 1, 2}) p.arrive(10s, w);
  p.tick(10s);
  REQUIRE(p.applied.size() == 1);
  CHECK(p.applied[0].updates.size() == 3);
  p.arrive(11s, 3);
  p.arrive(20s, 0);
  p.arrive(20s, 1);
  p.tick(20s);
  REQUIRE(p.applied.size() == 2);
  CHECK(p.applied[1].updates == std::vector<update_id>{{0, 1, 1}, {1, 1, 1}, {3, 1, 0}});
  const auto late = std::find_if(p.settled.begin(), p.settled.end(),
                                 [](const auto& r) { return r.work.id.worker == 3; });
  CHECK(late->staleness == 1);
}

TEST_CASE("each shard has a learning-rate schedule of its own; synchronous runs have one for all") {
  auto c = base_config();
  c.run.local_steps = 4000;
  c.inner.warmup_steps = 100;
  SUBCASE("asynchronous") {
    play p(c);
    std::map<shard_id, std::int64_t> next;
    p.run();
    for (const auto& work : p.assigned) {
      CHECK(work.rates.start == next[work.shard]);
      CHECK(work.data_position == static_cast<std::uint64_t>(next[work.shard]));
      CHECK(work.rates.total == 1000);
      CHECK(work.rates.warmup == 100);
      next[work.shard] += work.steps;
    }
    for (const auto& [shard, steps] : next) CHECK(steps == doctest::Approx(1000).epsilon(0.03));
  }
  SUBCASE("synchronous") {
    c.outer.mode = "sync";
    play p(c);
    p.run();
    REQUIRE(p.assigned.size() == 400);
    for (std::size_t i = 0; i < p.assigned.size(); ++i) {
      CHECK(p.assigned[i].rates.start == static_cast<std::int64_t>(i / 4 * 10));
      CHECK(p.assigned[i].rates.total == 1000);
    }
  }
}

TEST_CASE("the run ends when the budget is used up; what is still in flight is accounted for") {
  auto c = base_config();
  c.run.local_steps = 200;
  play p(c);
  p.run();
  CHECK(p.finishes == 1);
  CHECK(p.core.finished());
  CHECK(p.core.local_steps() == 200);
  CHECK(p.core.count(fate::applied) == 20);
  CHECK(p.core.count(fate::run_ended) == 3);
  CHECK(p.settled.size() == p.assigned.size());  // every round has a fate
  std::int64_t busy_steps = 0;
  for (const auto& t : p.core.totals(p.clock.now())) {
    // Nobody ever waited: even the unfinished rounds' time up to now is counted.
    CHECK(t.compute_time == p.clock.now());
    busy_steps += t.local_steps;
  }
  CHECK(busy_steps == 200);
}

TEST_CASE("a synchronous run on unequal workers waits for the slowest: its utilisation shows it") {
  auto c = base_config();
  c.outer.mode = "sync";
  c.run.local_steps = 400;
  play p(c);
  p.run();
  CHECK(p.clock.now() == 10 * 10 * 3330ms);
  const auto totals = p.core.totals(p.clock.now());
  CHECK(totals[3].compute_time == p.clock.now());
  CHECK(totals[0].compute_time == 100 * 580ms);
}

TEST_CASE("stopping settles the rounds in flight and ends the run once") {
  play p(base_config());
  p.arrive(6s, 0);
  p.note(p.core.stop(7s));
  p.note(p.core.stop(8s));
  CHECK(p.finishes == 1);
  CHECK(p.core.count(fate::run_ended) == 3);
  CHECK(p.core.update_arrived(9s, p.answer(p.latest[1])).empty());
  CHECK_FALSE(p.core.window_end().has_value());
}

TEST_CASE("a version is evaluated at the first one at or past each multiple") {
  auto c = base_config();
  c.evaluate.every_local_steps = 25;
  c.run.local_steps = 110;
  play p(c);
  p.run();
  const std::vector<std::pair<std::uint64_t, std::int64_t>> expected{
      {0, 0}, {3, 30}, {5, 50}, {8, 80}, {10, 100}};
  CHECK(p.evaluated == expected);
}

TEST_CASE("measured speeds give the same quotas as given ones after the first round") {
  auto c = base_config();
  c.quota.policy = "dylu";
  c.quota.local_steps = 50;
  c.quota.speeds = "measured";
  play p(c);
  p.run(200s);
  for (worker_id w = 0; w < 4; ++w) {
    CHECK(p.latest[w].id.sequence > 1);
    CHECK(p.latest[w].steps == std::vector<std::uint32_t>{50, 38, 19, 8}[w]);
  }
}

TEST_CASE("a fixed binding gives worker i shard i") {
  auto c = base_config();
  c.data.shard_sampling = "fixed";
  play p(c, facts(3));
  p.run(100s);
  for (const auto& work : p.assigned) CHECK(work.shard == work.id.worker % 3);
}

TEST_CASE("given quotas follow the paces that workers.events changes") {
  auto c = base_config();
  c.workers.count = 2;
  c.workers.seconds_per_step = {1.0, 2.0};
  c.workers.events = {"15 1 pace 0.5", "100 1 pause 60"};
  c.quota.policy = "dylu";
  play p(c);
  p.run(14s);
  CHECK(p.core.quota(0) == 10);
  CHECK(p.core.quota(1) == 5);
  p.run(99s);
  CHECK(p.core.quota(0) == 5);
  CHECK(p.core.quota(1) == 10);
  CHECK(p.core.pace(1, 99s) == 0.5);
  p.run(120s);  // who pauses keeps the quota of its pace
  CHECK(p.core.quota(1) == 10);
  CHECK(p.core.pace(1, 120s) == 0.0);
}

TEST_CASE("measured quotas follow a pace that changes, within a few rounds") {
  auto c = base_config();
  c.workers.count = 2;
  c.workers.seconds_per_step = {1.0, 1.0};
  c.workers.events = {"100 1 slow-down 5"};
  c.quota.policy = "dylu";
  c.quota.speeds = "measured";
  play p(c);
  p.run(99s);
  CHECK(p.core.quota(1) == 10);
  p.run(400s);
  CHECK(p.core.quota(0) == 10);
  CHECK(p.core.quota(1) == 2);
}

TEST_CASE("a worker that leaves loses its round and comes back with a new incarnation") {
  auto c = base_config();
  c.workers.heterogeneity = "none";  // rounds of 7.5 s
  c.workers.events = {"10 2 leave 20"};
  play p(c);
  p.run(9s);
  const auto old_round = p.latest.at(2);
  CHECK(old_round.id == update_id{2, 1, 1});
  p.run(29s);
  CHECK(p.core.quota(2) == 0);
  CHECK(p.core.count(fate::abandoned) == 1);
  CHECK_FALSE(p.core.awaits(old_round.id));
  p.run(31s);
  CHECK(p.latest.at(2).id.incarnation == 2);
  CHECK(p.latest.at(2).assigned_at == 30s);
  p.settled.clear();
  p.note(p.core.update_arrived(31s, p.answer(old_round)));
  CHECK(p.fates() == std::vector<fate>{fate::stale_incarnation});
  const auto applied = p.core.count(fate::applied);
  p.run(38s);
  CHECK(p.core.count(fate::applied) == applied + 4);
}

TEST_CASE("without any workers there is nothing to wait for, until one comes back") {
  auto c = base_config();
  c.workers.events = {"10 all leave", "20 1 pace 1"};
  play p(c);
  p.run();
  CHECK(p.core.stranded());
  CHECK_FALSE(p.clock.next().has_value());

  c.workers.events = {"10 all leave 5"};
  play q(c);
  q.run(100s);
  CHECK_FALSE(q.core.stranded());
  CHECK(q.core.version() > 4);
}

TEST_CASE("an update that is too stale is dropped, its steps count, its data does not") {
  auto c = base_config();
  c.staleness.limit = 2;
  c.staleness.weight = "polynomial";
  play p(c);
  for (const worker_id w : {0u, 1u, 0u}) {
    p.arrive(run_time(p.settled.size() + 1), w);
    p.tick(run_time(p.settled.size()));
  }
  p.arrive(10s, 2);
  CHECK(p.fates() ==
        std::vector<fate>{fate::applied, fate::applied, fate::applied, fate::too_stale});
  CHECK(p.settled[3].staleness == 3);
  CHECK(p.settled[3].weight == 0.0);
  CHECK(p.settled[2].staleness == 1);
  CHECK(p.settled[2].weight == doctest::Approx(1.0 / std::sqrt(2.0)));
  CHECK(p.applied.size() == 3);
  CHECK(p.core.version() == 3);
  CHECK(p.core.local_steps() == 40);
}

TEST_CASE("where updates accumulate, the version changes with the last of a step") {
  auto c = base_config();
  c.outer.optimizer = "nesterov";
  c.outer.accumulate = 3;
  c.evaluate.every_local_steps = 40;
  play p(c);
  for (int i = 1; i <= 8; ++i) {
    p.arrive(run_time(i), static_cast<worker_id>(i % 4));
    p.tick(run_time(i));
  }
  REQUIRE(p.applied.size() == 8);
  std::vector<std::uint64_t> versions, staleness;
  for (const auto& a : p.applied) versions.push_back(a.version);
  for (const auto& r : p.settled) staleness.push_back(r.staleness);
  CHECK(versions == std::vector<std::uint64_t>{0, 0, 1, 1, 1, 2, 2, 2});
  CHECK(staleness == std::vector<std::uint64_t>{0, 0, 0, 1, 1, 1, 1, 1});
  // 40 steps are reached with the fourth update, but version 2 comes with the sixth.
  CHECK(p.evaluated == std::vector<std::pair<std::uint64_t, std::int64_t>>{{0, 0}, {2, 60}});

  c.staleness.unit = "arrivals";
  play q(c);
  for (int i = 1; i <= 5; ++i) {
    q.arrive(run_time(i), static_cast<worker_id>(i % 4));
    q.tick(run_time(i));
  }
  staleness.clear();
  for (const auto& r : q.settled) staleness.push_back(r.staleness);
  CHECK(staleness == std::vector<std::uint64_t>{0, 1, 2, 3, 3});
}

TEST_CASE("a synchronous round weighs its late updates by their staleness") {
  auto c = base_config();
  c.outer.mode = "sync";
  c.outer.optimizer = "sgd";
  c.window.quorum = 2;
  c.staleness.weight = "polynomial";
  play p(c);
  p.arrive(6s, 0);
  p.arrive(7s, 1);
  p.tick(7s);
  p.arrive(8s, 2);  // of the first round
  p.arrive(14s, 0);
  p.tick(14s);
  REQUIRE(p.applied.size() == 2);
  CHECK(p.applied[1].updates.size() == 2);
  CHECK(p.applied[1].weights[0] == 1.0);
  CHECK(p.applied[1].weights[1] == doctest::Approx(1.0 / std::sqrt(2.0)));
}

TEST_CASE("a clairvoyant window ends with the last arrival in it") {
  auto c = base_config();
  c.workers.seconds_per_step = {1.0, 1.02, 1.05, 3.0};
  c.window.grace_seconds = 0.5;
  play waits(c);
  waits.run(11s);
  CHECK(waits.latest[0].assigned_at == 10500ms);
  c.window.policy = "clairvoyant";
  play knows(c);
  knows.run(11s);
  CHECK(knows.latest[0].assigned_at == 10500ms);  // worker 2 arrives just then
  CHECK(knows.latest[1].assigned_at == 10500ms);
  c.workers.seconds_per_step[2] = 1.06;
  play alone(c);
  alone.run(11s);
  CHECK(alone.latest[0].assigned_at == 10200ms);
  CHECK(alone.latest[1].assigned_at == 10200ms);
  CHECK(alone.latest[2].assigned_at == 10600ms);
}

TEST_CASE("stages change H, and a data-parallel one gives out single gradients") {
  auto c = base_config();
  c.outer.mode = "sync";
  c.outer.optimizer = "sgd";
  c.quota.stages = {"0 data-parallel", "8 3", "32 data-parallel", "36 5"};
  c.inner.warmup_steps = 0;
  c.run.local_steps = 1000;
  play p(c);
  p.run(60s);
  REQUIRE(p.applied.size() >= 6);
  std::vector<round_kind> kinds;
  std::vector<std::uint32_t> steps;
  std::vector<bool> handover;
  std::vector<std::int64_t> starts;
  for (const auto& work : p.assigned) {
    if (work.id.worker != 2 || steps.size() == 6) continue;
    kinds.push_back(work.kind);
    steps.push_back(work.steps);
    handover.push_back(work.handover);
    starts.push_back(work.rates.start);
  }
  using enum round_kind;
  CHECK(kinds ==
        std::vector<round_kind>{gradient, gradient, rescaled, rescaled, gradient, rescaled});
  CHECK(steps == std::vector<std::uint32_t>{1, 1, 3, 3, 1, 5});
  CHECK(handover == std::vector<bool>{false, false, true, false, false, true});
  CHECK(starts == std::vector<std::int64_t>{0, 1, 2, 5, 8, 9});
  CHECK(p.applied[1].kind == gradient);
  CHECK(p.applied[2].kind == rescaled);
  CHECK(p.applied[2].inner_lr == learning_rate(c.inner, p.settled[8].work.rates, 0));
  CHECK(p.applied[2].inner_lr < p.applied[1].inner_lr);
}

TEST_CASE("a run without a data-parallel stage has plain local rounds") {
  auto c = base_config();
  c.quota.stages = {"0 2", "20 4"};
  play p(c);
  p.run(30s);
  for (const auto& work : p.assigned) CHECK(work.kind == round_kind::local);
  CHECK(p.assigned.front().steps == 2);
  CHECK(p.assigned.back().steps == 4);
}

TEST_CASE("a full round is the stage's: for the quota that is shown, and for weights by tokens") {
  auto c = base_config();
  c.quota.stages = {"0 2", "8 4"};
  c.outer.weighting = "tokens";
  play p(c);
  CHECK(p.core.quota(0) == 2);
  p.run(60s);
  CHECK(p.core.quota(0) == 4);
  CHECK(p.settled.front().weight == 1.0);
  CHECK(p.settled.back().weight == 1.0);
}

// -- groups -------------------------------------------------------------------------------------

namespace {

/// Workers 0 and 1 take a second a step, 2 takes two, 3 takes four; neighbours form groups, which
/// meet after every second round of 10 steps.
config two_groups() {
  auto c = base_config();
  c.outer.mode = "sync";
  c.outer.optimizer = "sgd";
  c.outer.group_size = 2;
  c.outer.group_rounds = 2;
  c.workers.seconds_per_step = {1.0, 1.0, 2.0, 4.0};
  return c;
}

}  // namespace

TEST_CASE("groups go through their rounds by themselves, then all workers make one step") {
  play p(two_groups());
  p.run(79s);
  REQUIRE(p.applied.size() == 2);
  CHECK(p.applied[0].group == 0);
  CHECK(p.applied[0].updates == std::vector<update_id>{{0, 1, 0}, {1, 1, 0}});
  CHECK(p.applied[1].group == 1);
  REQUIRE(p.assigned.size() == 8);
  for (const std::size_t i : {4, 5}) {
    CHECK(p.assigned[i].assigned_at == 10s);  // not when the slowest of all has arrived
    CHECK(p.from_groups[i] == 0);
    CHECK(p.assigned[i].base_version == 0);
    CHECK(p.assigned[i].rates.start == 10);
  }
  for (const std::size_t i : {6, 7}) {
    CHECK(p.assigned[i].assigned_at == 40s);
    CHECK(p.from_groups[i] == 1);
    CHECK(p.assigned[i].rates.start == 10);
  }
  CHECK(p.core.version() == 0);

  p.run(80s);
  REQUIRE(p.applied.size() == 3);
  CHECK_FALSE(p.applied[2].group);
  CHECK(p.applied[2].updates.size() == 4);
  CHECK(p.applied[2].inner_lr == learning_rate(two_groups().inner, p.assigned[0].rates, 0));
  CHECK(p.core.version() == 1);
  REQUIRE(p.assigned.size() == 12);
  for (std::size_t i = 8; i < 12; ++i) {
    CHECK_FALSE(p.from_groups[i]);
    CHECK(p.assigned[i].base_version == 1);
    CHECK(p.assigned[i].rates.start == 20);
  }
  CHECK(p.fates() == std::vector<fate>(8, fate::applied));
  for (const auto& record : p.settled) CHECK(record.staleness == 0);
}

TEST_CASE("a run with groups ends with a step of all, in whichever round a group is") {
  auto c = two_groups();
  c.run.local_steps = 50;  // reached at 20 s; the slowest hands its first round in at 40 s
  play p(c);
  p.run();
  REQUIRE(p.applied.size() == 2);
  CHECK(p.applied[0].group == 0);
  CHECK_FALSE(p.applied[1].group);
  CHECK(p.applied[1].updates == std::vector<update_id>{{0, 1, 1}, {1, 1, 1}, {2, 1, 0}, {3, 1, 0}});
  CHECK(p.core.local_steps() == 60);
  CHECK(p.settled.back().settled_at == 40s);
  CHECK(p.finishes == 1);
}

TEST_CASE("a group waits for nobody who has left, and who is refused starts again with it") {
  auto c = two_groups();
  c.workers.events = {"5 1 leave"};
  play p(c);
  p.run(10s);
  REQUIRE(p.applied.size() == 1);
  CHECK(p.applied[0].updates == std::vector<update_id>{{0, 1, 0}});
  auto bad = p.answer(p.latest[0]);
  bad.finite = false;
  p.note(p.core.update_arrived(20s, bad));
  CHECK(p.settled.back().what == fate::not_finite);
  // It was the group's last round, so it waits for the other group and starts from the new version.
  p.arrive(20s, 2);
  p.arrive(40s, 3);
  p.tick(40s);
  p.arrive(60s, 2);
  p.arrive(80s, 3);
  p.tick(80s);
  CHECK(p.applied.back().updates == std::vector<update_id>{{2, 1, 1}, {3, 1, 1}});
  CHECK(p.latest[0].assigned_at == 80s);
  CHECK(p.latest[0].base_version == 1);
}

TEST_CASE("a group of which nothing could be used goes on from where it was") {
  play p(two_groups());
  for (const worker_id w : {0, 1}) {
    auto bad = p.answer(p.latest[w]);
    bad.finite = false;
    p.note(p.core.update_arrived(10s, bad));
  }
  p.tick(10s);
  CHECK(p.applied.empty());
  REQUIRE(p.assigned.size() == 6);
  CHECK_FALSE(p.from_groups[4]);
  CHECK_FALSE(p.from_groups[5]);
}

// -- overlap ------------------------------------------------------------------------------------

namespace {

config overlap_config() {
  auto c = base_config();
  c.workers.count = 2;
  c.workers.seconds_per_step = {1.0, 1.5};
  c.network.latency_seconds = {2.0};
  c.network.overlap = true;
  return c;
}

}  // namespace

TEST_CASE("with overlap a worker has two rounds, and the reply to one brings the next but one") {
  play p(overlap_config());
  REQUIRE(p.assigned.size() == 4);
  CHECK(p.assigned[0].id == update_id{0, 1, 0});
  CHECK(p.assigned[1].id == update_id{0, 1, 1});
  CHECK(p.assigned[1].data_position == 10 * (p.assigned[1].shard == p.assigned[0].shard ? 1 : 0));
  CHECK(p.assigned[0].due() == 2s + 10s + 2s);
  CHECK(p.assigned[1].due() == 2s + 20s + 2s);

  const auto first = p.assigned[0];
  p.note(p.core.update_arrived(14s, p.answer(first)));
  CHECK(p.core.awaits(p.assigned[1].id));
  p.tick(14s);
  REQUIRE(p.assigned.size() == 5);
  CHECK(p.assigned[4].id == update_id{0, 1, 2});
  CHECK(p.assigned[4].base_version == 1);
  CHECK(p.assigned[4].begun() == 22s);  // when the second round is computed
  CHECK(p.assigned[4].due() == 34s);
  CHECK(p.core.outstanding().size() == 4);
  CHECK(p.core.totals(18s)[0].compute_time == 10s + 6s);
  // Once more: it was settled.
  p.note(p.core.update_arrived(15s, p.answer(first)));
  CHECK(p.fates() == std::vector{fate::applied, fate::duplicate});
}

TEST_CASE("with overlap a round's base is its own version or the one that came with the next") {
  for (const std::uint64_t base : {0, 1, 2}) {
    CAPTURE(base);
    play p(overlap_config());
    p.note(p.core.update_arrived(14s, p.answer(p.assigned[0])));
    p.tick(14s);
    p.note(p.core.update_arrived(19s, p.answer(p.assigned[2])));  // of the other worker
    p.tick(19s);
    auto second = p.answer(p.assigned[1]);
    second.base_version = base;
    p.note(p.core.update_arrived(24s, second));
    const auto& record = p.settled.back();
    if (base == 2) {  // only the other worker was given that
      CHECK(record.what == fate::wrong_base);
      continue;
    }
    CHECK(record.what == fate::applied);
    CHECK(record.work.base_version == base);
    CHECK(record.staleness == 2 - base);
  }
}

TEST_CASE("with overlap a worker that is lost loses both rounds, and comes back to two") {
  play p(overlap_config());
  p.note(p.core.worker_lost(5s, 0));
  CHECK(p.fates() == std::vector{fate::abandoned, fate::abandoned});
  CHECK(p.core.totals(9s)[0].compute_time == 3s);
  p.assigned.clear();
  p.note(p.core.worker_joined(6s, 0));
  p.tick(6s);
  REQUIRE(p.assigned.size() == 2);
  CHECK(p.assigned[1].id == update_id{0, 2, 1});
}
