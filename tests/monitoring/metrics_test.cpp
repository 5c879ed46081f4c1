#include "monitoring/metrics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>

#include "coordination/types.hpp"

using namespace rubato;

namespace {

/// The series of a text for Prometheus by their full names, such as `a_total{run="r",worker="1"}`.
std::map<std::string, double> series_in(const std::string& text) {
  std::map<std::string, double> series;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    const auto space = line.rfind(' ');
    const auto value = line.substr(space + 1);
    series[line.substr(0, space)] = value == "Nan" || value == "NaN"
                                        ? std::numeric_limits<double>::quiet_NaN()
                                        : std::stod(value);
  }
  return series;
}

/// Metrics of a run called "r", with a clock that stands still unless told otherwise.
struct metered {
  metered() : metered(process_facts{}) {}
  explicit metered(process_facts facts) {
    facts.run = std::string("r");
    facts.version = std::string("1.2.3");
    facts.codec_up = std::string("int8");
    facts.codec_down = std::string("f32");
    facts.journal = facts.checkpoints = true;
    facts.lanes = lanes;
    metrics = std::make_unique<run_metrics>(facts, [this] { return now; });
  }

  std::map<std::string, double> series() { return series_in(metrics->text()); }
  double value(const std::string& name) {
    const auto all = series();
    const auto found = all.find(name);
    REQUIRE_MESSAGE(found != all.end(), name);
    return found->second;
  }

  void begin(const std::string& clock = "virtual") {
    run_plan plan;
    plan.method = std::string("async");
    plan.clock = clock;
    plan.parameters = 100;
    plan.local_steps = 5000;
    plan.workers.resize(3);
    metrics->began(plan);
  }

  /// Worker `worker`'s round of 5 steps that took from 2.0 to 3.0, of which 0.5 were computing.
  round_ended round(std::uint32_t worker, std::uint64_t staleness = 2) const {
    round_ended r;
    r.worker = worker;
    r.fate = "applied";
    r.base = 4;
    r.version = 7;
    r.staleness = staleness;
    r.steps = 5;
    r.tokens = 500;
    r.loss = 1.5;
    r.norm = 0.25;
    r.cosine_to_momentum = 0.3;
    r.assigned = 2.0;
    r.received = 0.125;
    r.computed = 0.5;
    r.sent = 0.0625;
    r.settled = 3.0;
    r.data_wait = 0.2;
    return r;
  }

  double now = 100.0;
  std::shared_ptr<lane_activity> lanes = std::make_shared<lane_activity>();
  std::unique_ptr<run_metrics> metrics;
};

/// Tells it one of everything.
void tell_all(metered& m) {
  m.begin();
  m.metrics->assigned({.worker = 1, .base = 4, .steps = 5, .time = 2.0});
  m.metrics->settled(m.round(1));
  m.metrics->settled(m.round(1));
  m.metrics->worker_gone(1);
  server_reading reading;
  reading.momentum_norm = 3.0;
  reading.merges = {0.01};
  m.metrics->read(reading);
  m.metrics->evaluated({});
  m.metrics->journal_waits(10);
  m.metrics->journal_committed(0.001);
  m.metrics->checkpointed(7);
  m.metrics->ended({});
  m.metrics->heard("b", {});
}

/// "a_total" of `a_total{...}`, "h" of `h_bucket{...}`, as the # TYPE lines name it.
std::set<std::string> families_in(const std::string& text) {
  std::set<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) names.insert(line.substr(7, line.rfind(' ') - 7));
  }
  return names;
}

}  // namespace

TEST_CASE("every metric of the catalogue is there once it has a value, and no other") {
  process_facts facts;
  facts.staleness_limit = 9;
  facts.links = true;
  metered m(facts);
  tell_all(m);
  const auto names = families_in(m.metrics->text());
  std::set<std::string> described;
  for (const auto& about : metric_catalogue()) described.insert(std::string(about.name));
  CHECK(described.size() == metric_catalogue().size());
  CHECK(names == described);
}

TEST_CASE("metrics are named and described as Prometheus wants it") {
  for (const auto& about : metric_catalogue()) {
    CAPTURE(about.name);
    CHECK((about.name.starts_with("rubato_") || about.name.starts_with("process_")));
    CHECK(about.name.ends_with("_total") == (about.kind == metric_kind::counter));
    CHECK(about.help.ends_with("."));
    CHECK(about.name.find("milli") == std::string_view::npos);
  }
}

TEST_CASE("docs/metrics.md says what metrics there are") {
  std::ifstream in(std::string(RUBATO_SOURCE_DIR) + "/docs/metrics.md");
  std::stringstream page;
  page << in.rdbuf();
  CHECK_MESSAGE(page.str() == describe_metrics_markdown(),
                "make it anew with: rubato metrics --markdown > docs/metrics.md");
}

TEST_CASE("an applied update is counted with its staleness, tokens and steps") {
  metered m;
  m.begin();
  m.metrics->settled(m.round(1, 2));
  m.metrics->settled(m.round(1, 3));
  m.metrics->settled(m.round(0, 40));
  auto refused = m.round(0);
  refused.fate = "too_stale";
  m.metrics->settled(refused);
  const auto s = m.series();
  const auto bucket = [&](const char* worker, const char* bound) {
    return s.at(std::string("rubato_update_staleness_versions_bucket{run=\"r\",worker=\"") +
                worker + "\",le=\"" + bound + "\"}");
  };
  CHECK(bucket("1", "1") == 0);
  CHECK(bucket("1", "2") == 1);
  CHECK(bucket("1", "3") == 2);
  CHECK(bucket("0", "32") == 0);
  CHECK(bucket("0", "+Inf") == 1);
  CHECK(s.at(R"(rubato_updates_total{run="r",fate="applied"})") == 3);
  CHECK(s.at(R"(rubato_updates_total{run="r",fate="too_stale"})") == 1);
  CHECK(s.at(R"(rubato_tokens_total{run="r",worker="0"})") == 1000);
  CHECK(s.at(R"(rubato_local_steps_total{run="r",worker="1"})") == 10);
  CHECK(s.at(R"(rubato_merge_bytes_total{run="r"})") == 3 * 400);
  CHECK(s.at(R"(rubato_server_version{run="r"})") == 7);
  CHECK(s.at(R"(rubato_update_norm{run="r"})") == 0.25);
}

TEST_CASE("each fate is counted from the start, so that its first one is seen as an increase") {
  metered m;
  const auto s = m.series();
  int fates = 0;
  for (const auto& [name, value] : s) fates += name.starts_with("rubato_updates_total{") ? 1 : 0;
  CHECK(fates == 12);
  for (int i = 0; i < fates; ++i) {
    const auto name = std::string(to_string(static_cast<fate>(i)));
    CAPTURE(name);
    CHECK(s.count("rubato_updates_total{run=\"r\",fate=\"" + name + "\"}") == 1);
  }
}

TEST_CASE("a worker's time is split into what it did with it") {
  metered m;
  const auto state = [&](const char* name) {
    return m.value(std::string("rubato_worker_state_seconds_total{run=\"r\",state=\"") + name +
                   "\",worker=\"1\"}");
  };
  SUBCASE("on the virtual clock, where data are there at once") {
    m.begin("virtual");
    m.metrics->settled(m.round(1));
    CHECK(state("compute") == 0.5);
    CHECK(state("load") == 0.0);
    CHECK(state("send") == 0.1875);
    CHECK(state("wait") == doctest::Approx(1.0 - 0.5 - 0.1875));
  }
  SUBCASE("on the wall clock, where a round's time holds the waiting for data") {
    m.begin("wall");
    m.metrics->settled(m.round(1));
    CHECK(state("compute") == doctest::Approx(0.3));
    CHECK(state("load") == doctest::Approx(0.2));
  }
  SUBCASE("between two rounds it waits") {
    m.begin("virtual");
    m.metrics->assigned({.worker = 1, .steps = 5, .time = 2.0});
    CHECK(m.value(R"(rubato_worker_active{run="r",worker="1"})") == 1);
    m.metrics->settled(m.round(1));
    CHECK(m.value(R"(rubato_worker_active{run="r",worker="1"})") == 0);
    const double before = state("wait");
    m.metrics->assigned({.worker = 1, .base = 7, .steps = 9, .time = 3.75});
    CHECK(state("wait") - before == doctest::Approx(0.75));
    CHECK(m.value(R"(rubato_worker_quota_steps{run="r",worker="1"})") == 9);
    CHECK(m.value(R"(rubato_worker_base_version{run="r",worker="1"})") == 7);
    CHECK(m.value(R"(rubato_worker_speed_steps_per_second{run="r",worker="1"})") == 10);
  }
}

TEST_CASE("any number of workers makes a bounded number of series") {
  metered m;
  m.begin();
  for (std::uint32_t worker = 0; worker < workers_with_metrics; ++worker) {
    m.metrics->assigned({.worker = worker});
    m.metrics->settled(m.round(worker));
  }
  m.metrics->settled(m.round(workers_with_metrics));
  const auto before = m.series().size();
  for (std::uint32_t worker = 100; worker < 1000; ++worker) {
    m.metrics->assigned({.worker = worker});
    m.metrics->settled(m.round(worker));
  }
  CHECK(m.series().size() == before);
  CHECK(m.value(R"(rubato_tokens_total{run="r",worker="others"})") == 901 * 500);
}

TEST_CASE("ages are those of the time of asking") {
  metered m;
  CHECK(m.series().count(R"(rubato_update_age_seconds{run="r"})") == 0);
  m.begin();
  m.now = 103.0;
  CHECK(m.value(R"(rubato_update_age_seconds{run="r"})") == 3.0);
  CHECK(m.value(R"(rubato_checkpoint_age_seconds{run="r"})") == 3.0);
  m.metrics->settled(m.round(1));
  m.metrics->checkpointed(7);
  m.now = 104.0;
  CHECK(m.value(R"(rubato_update_age_seconds{run="r"})") == 1.0);
  CHECK(m.value(R"(rubato_checkpoint_age_seconds{run="r"})") == 1.0);
  m.metrics->settled(m.round(1));
  CHECK(m.value(R"(rubato_update_interval_seconds{run="r"})") == 1.0);
}

TEST_CASE("the journal lags from the first record that waits until all are durable") {
  metered m;
  m.begin();
  CHECK(m.value(R"(rubato_journal_lag_seconds{run="r"})") == 0.0);
  m.metrics->journal_waits(1000);
  m.now += 2.0;
  m.metrics->journal_waits(2000);
  m.now += 1.0;
  CHECK(m.value(R"(rubato_journal_lag_seconds{run="r"})") == 3.0);
  CHECK(m.value(R"(rubato_journal_waiting_bytes{run="r"})") == 2000);
  m.metrics->journal_committed(0.25);
  CHECK(m.value(R"(rubato_journal_lag_seconds{run="r"})") == 0.0);
  CHECK(m.value(R"(rubato_journal_commit_seconds_sum{run="r"})") == 0.25);
}

TEST_CASE("a loss that is not a number shows, and does not stay in the mean for ever") {
  metered m;
  m.begin();
  auto r = m.round(1);
  r.loss = std::nan("");
  m.metrics->settled(r);
  CHECK(std::isnan(m.value(R"(rubato_training_loss_nats{run="r"})")));
  m.metrics->settled(m.round(1));
  CHECK(m.value(R"(rubato_training_loss_nats{run="r"})") == 1.5);
}

TEST_CASE("a repetition that is refused is no round, and one that never arrived has no tokens") {
  metered m;
  m.begin();
  m.metrics->assigned({.worker = 1});
  for (const char* fate : {"duplicate", "stale_incarnation", "run_ended"}) {
    auto r = m.round(1);
    r.fate = fate;
    CHECK(m.value(R"(rubato_worker_active{run="r",worker="1"})") == 1);
    m.metrics->settled(r);
  }
  CHECK(m.value(R"(rubato_worker_active{run="r",worker="1"})") == 0);
  CHECK(m.value(R"(rubato_tokens_total{run="r",worker="1"})") == 0);
}

TEST_CASE("what the server reads of itself is passed on") {
  metered m;
  server_reading reading;
  reading.workers = 3;
  reading.workers_waiting = 2;
  reading.window_open = true;
  reading.updates_waiting = 1;
  reading.records_waiting = 17;
  reading.bytes_down = 4000;
  reading.bytes_up = 1000;
  reading.merges = {0.02, 0.04};
  m.metrics->read(reading);
  reading.bytes_down = 6000;
  m.metrics->read(reading);
  const auto s = m.series();
  CHECK(s.at(R"(rubato_workers{run="r"})") == 3);
  CHECK(s.at(R"(rubato_window_open{run="r"})") == 1);
  CHECK(s.at(R"(rubato_window_workers{run="r"})") == 2);
  CHECK(s.at(R"(rubato_queue_length{run="r",queue="updates"})") == 1);
  CHECK(s.at(R"(rubato_queue_length{run="r",queue="records"})") == 17);
  CHECK(s.at(R"(rubato_transfer_bytes_total{run="r",codec="f32",direction="down"})") == 6000);
  CHECK(s.at(R"(rubato_transfer_bytes_total{run="r",codec="int8",direction="up"})") == 1000);
  CHECK(s.at(R"(rubato_merge_seconds_count{run="r"})") == 4);
  CHECK(s.at(R"(rubato_merge_seconds_sum{run="r"})") == doctest::Approx(0.12));
  CHECK(s.count(R"(rubato_momentum_norm{run="r"})") == 0);
}

TEST_CASE("peers are there from their first sign of life until they are lost") {
  for (const bool node : {false, true}) {
    CAPTURE(node);
    process_facts facts;
    facts.links = true;
    facts.node = node;
    metered m(facts);
    CHECK(m.value(R"(rubato_peers{run="r"})") == 0);
    m.metrics->heard("b", {.sent_again = 2, .asked_again = 0});
    m.now += 3.0;
    m.metrics->heard("c", {.sent_again = 10, .asked_again = 1});
    CHECK(m.value(R"(rubato_peers{run="r"})") == 2);
    CHECK(m.value(R"(rubato_peer_heartbeat_age_seconds{run="r",peer="b"})") == 3.0);
    m.metrics->heard("b", {.sent_again = 5, .asked_again = 0});
    CHECK(m.value(R"(rubato_peer_heartbeat_age_seconds{run="r",peer="b"})") == 0.0);
    m.metrics->lost("b");
    m.metrics->lost("never there");
    CHECK(m.value(R"(rubato_peers{run="r"})") == 1);
    CHECK(m.series().count(R"(rubato_peer_heartbeat_age_seconds{run="r",peer="b"})") == 0);
    // Its next link counts from 0 again.
    m.metrics->heard("b", {.sent_again = 1, .asked_again = 0});
    const std::string sent = node ? "up" : "down";
    const std::string asked = node ? "down" : "up";
    const std::string retries = "rubato_transfer_retries_total{run=\"r\",direction=\"";
    CHECK(m.value(retries + sent + "\"}") == 16);
    CHECK(m.value(retries + asked + "\"}") == 1);
  }
}

TEST_CASE("a thousand peers make a bounded number of series") {
  process_facts facts;
  facts.links = true;
  metered m(facts);
  for (int i = 0; i < 1000; ++i) m.metrics->heard("peer " + std::to_string(i), {});
  std::size_t ages = 0;
  for (const auto& [name, value] : m.series()) ages += name.starts_with("rubato_peer_") ? 1 : 0;
  CHECK(ages == peers_with_metrics);
  CHECK(m.value(R"(rubato_peers{run="r"})") == 1000);
}

TEST_CASE("a node has the metrics of its process and its lanes, and none of a run") {
  process_facts facts;
  facts.node = true;
  metered m(facts);
  m.lanes->steps = 12;
  m.lanes->waiting_nanoseconds = 250'000'000;
  for (const auto& name : families_in(m.metrics->text())) {
    CAPTURE(name);
    CHECK((name.starts_with("process_") || name.starts_with("rubato_lane_") ||
           name == "rubato_build_info"));
  }
  m.metrics->takes_part("another");
  CHECK(m.value(R"(rubato_lane_steps_total{run="another"})") == 12);
  m.metrics->takes_part("r");
  CHECK(m.value(R"(rubato_lane_seconds_total{run="r",state="load"})") == 0.25);
  CHECK(m.value(R"(process_resident_memory_bytes{run="r"})") > 1e6);
  CHECK(m.value(R"(process_threads{run="r"})") >= 1);
  CHECK(m.value(R"(process_open_fds{run="r"})") >= 3);
}
