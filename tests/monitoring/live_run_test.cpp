#include "monitoring/live_run.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "monitoring/summary.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace rubato;
using nlohmann::json;

namespace {

struct watched_run {
  explicit watched_run(const std::string& clock = "virtual") {
    plan.directory = folder.path().string();
    plan.clock = clock;
    plan.method = std::string("async");
  }

  /// What the page would read now; the clock moves on so that it is made anew.
  json look() {
    now += 1.0;
    return json::parse(live.text());
  }

  round_ended round(std::uint32_t worker, std::uint64_t sequence, std::uint64_t version) const {
    round_ended r;
    r.worker = worker;
    r.sequence = sequence;
    r.fate = "applied";
    r.version = version;
    r.steps = 5;
    r.assigned = static_cast<double>(version);
    r.computed = 0.5;
    r.settled = static_cast<double>(version) + 1.0;
    r.received = 0.25;
    r.sent = 0.125;
    return r;
  }

  temporary_folder folder;
  run_plan plan;
  double now = 50.0;
  live_run live{"1.2.3", "[run]\nname = \"r\"\n", [this] { return now; }};
};

}  // namespace

TEST_CASE("before a run has begun its page has its config and nothing else") {
  watched_run w;
  CHECK(!w.live.has_begun());
  const auto data = w.look();
  CHECK(data["live"]["phase"] == "starting");
  CHECK(data["version"] == "1.2.3");
  CHECK(data["runs"][0]["config"] == json::parse(R"([["run.name", "\"r\""]])"));
  CHECK(data["runs"][0]["timeline"]["rounds"].empty());
  w.live.began(w.plan);
  CHECK(w.live.has_begun());
  CHECK(w.look()["live"]["phase"] == "running");
}

TEST_CASE("a round is under way until it has a fate, and its worker waits after it") {
  watched_run w;
  w.live.began(w.plan);
  w.live.assigned({.worker = 2, .sequence = 0, .base = 0, .steps = 5, .time = 1.0});
  server_reading reading;
  reading.time = 1.75;
  w.live.read(reading);
  auto data = w.look();
  CHECK(data["live"]["workers"] == json::parse(R"([[2, "working", 0, 5, 1.0]])"));
  CHECK(data["runs"][0]["timeline"]["rounds"] ==
        json::parse(R"([[2, "in_flight", 0, 0, 0, 5, 1.0, 0.75, 1.75, 0.0, 0.0]])"));
  CHECK(data["runs"][0]["fates"].empty());

  w.live.settled(w.round(2, 0, 1));
  data = w.look();
  CHECK(data["live"]["workers"] == json::parse(R"([[2, "waiting", null, null, 2.0]])"));
  CHECK(data["runs"][0]["timeline"]["rounds"] ==
        json::parse(R"([[2, "applied", 0, 1, 0, 5, 1.0, 0.5, 2.0, 0.25, 0.125]])"));
  CHECK(data["runs"][0]["fates"] == json::parse(R"({"applied": 1})"));
  CHECK(data["runs"][0]["local_steps"] == 5);
}

TEST_CASE("on the wall clock time goes on between two events, on the virtual one it does not") {
  for (const std::string clock : {"wall", "virtual"}) {
    CAPTURE(clock);
    watched_run w(clock);
    w.live.began(w.plan);
    server_reading reading;
    reading.time = 10.0;
    w.live.read(reading);
    w.now += 4.0;
    CHECK(w.look()["live"]["clock_seconds"] == (clock == "wall" ? 15.0 : 10.0));
  }
}

TEST_CASE("of a long run the newest rounds are known, and all of their fates") {
  watched_run w;
  w.live.began(w.plan);
  const std::uint64_t rounds = live_rounds + 100;
  for (std::uint64_t i = 1; i <= rounds; ++i) w.live.settled(w.round(0, i, i));
  const auto data = w.look();
  const auto& run = data["runs"][0];
  CHECK(run["fates"]["applied"] == rounds);
  CHECK(run["local_steps"] == 5 * rounds);
  std::uint64_t counted = 0;
  for (const auto& step : run["staleness_over_time"]) {
    for (const auto& pair : step[1]) counted += pair[1].get<std::uint64_t>();
  }
  CHECK(counted == live_rounds);
  const auto& drawn = run["timeline"]["rounds"];
  CHECK(drawn.size() < 1000);
  CHECK(drawn.back()[3] == rounds);
  CHECK(run["timeline"]["from"] == drawn.front()[6]);
}

TEST_CASE("evaluations, changes of workers and the summary are as in a report") {
  watched_run w;
  w.live.began(w.plan);
  evaluation e;
  e.version = 3;
  e.loss = 1.25;
  e.clock_seconds = 2.0;
  e.quotas = {5, 7};
  server_reading reading;
  reading.bytes_up = 30;
  reading.bytes_down = 12;
  w.live.read(reading);
  w.live.evaluated(e);
  worker_change_record change;
  change.worker = 1;
  change.what = std::string("leave");
  w.live.worker_changed(change);
  run_summary summary;
  summary.outcome = std::string("finished");
  auto data = w.look();
  CHECK(data["runs"][0]["summary"].is_null());
  CHECK(data["runs"][0]["evaluations"]["loss"] == json::parse("[1.25]"));
  CHECK(data["runs"][0]["evaluations"]["bytes"] == json::parse("[42.0]"));
  CHECK(data["runs"][0]["quotas"] == json::parse("[[2.0, [5, 7]]]"));
  CHECK(data["runs"][0]["changes"][0]["event"] == "leave");
  w.live.ended(summary);
  data = w.look();
  CHECK(data["live"]["phase"] == "ended");
  CHECK(data["runs"][0]["summary"]["outcome"] == "finished");
}

TEST_CASE("a run that goes on shows what was there before, and a damaged file does not stop it") {
  watched_run w;
  const std::string line =
      R"({"worker":1,"fate":"applied","base":0,"version":1,"staleness":0,"steps":5,)"
      R"("cosine_to_momentum":null,"assigned_seconds":0.0,"compute_seconds":1.0,)"
      R"("settled_seconds":1.0})";
  SUBCASE("whole") {
    write_bytes(w.folder.file("updates.jsonl"), line + '\n');
    w.live.began(w.plan);
    CHECK(w.look()["runs"][0]["fates"]["applied"] == 1);
  }
  SUBCASE("damaged") {
    write_bytes(w.folder.file("updates.jsonl"), line + "\nnonsense\n" + line + '\n');
    w.live.began(w.plan);
    CHECK(w.look()["live"]["phase"] == "running");
  }
}

TEST_CASE("what many ask for at once is made once") {
  watched_run w;
  w.live.began(w.plan);
  const auto first = w.live.text();
  w.live.settled(w.round(0, 0, 1));
  CHECK(w.live.text() == first);
  w.now += 1.0;
  CHECK(w.live.text() != first);
}
