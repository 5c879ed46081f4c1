#include "monitoring/summary.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

using namespace rubato;

namespace {

evaluation some_evaluation() {
  evaluation e;
  e.version = 160;
  e.local_steps = 4000;
  e.tokens = 8'192'000;
  e.clock_seconds = 604.0;
  e.wall_seconds = 200.0;
  e.loss = 0.1 + 0.2;  // needs all 17 digits
  e.perplexity = 1.35;
  e.bits_per_byte = 0.43;
  e.accuracy = 0.52;
  e.shard_loss = {0.25, 0.35};
  e.quotas = {50, 0, 25, 1};
  return e;
}

run_summary some_summary() {
  run_summary s;
  s.method = "async delayed-nesterov, dylu";
  s.seed = 3;
  s.clock = "virtual";
  s.outcome = "finished";
  s.parameters = 825'344;
  s.workers = 2;
  s.local_steps = 4012;
  s.tokens = 8'216'576;
  s.epochs = 2.75;
  s.server_version = 164;
  s.precision = "bf16";
  s.wall_seconds = 200.3;
  s.clock_seconds = 6000.0;
  s.virtual_seconds = 6000.0;
  s.tokens_per_second = 41'000.2;
  s.utilisation = 0.974;
  s.data_wait = 0.031;
  s.staleness = {2.93, 3, 5, 6};
  s.updates = {164, 1, 2, 4, 3, 5, {{"not_finite", 1}, {"outlier", 1}}};
  s.bytes = {541'000'000, 540'000'000, 0};
  s.final = some_evaluation();
  s.best = some_evaluation();
  s.best->local_steps = 3600;
  s.last_finite_version = 164;
  s.params_sha256 = "0123456789abcdef0123456789abcdef";
  s.per_worker = {{0.25, 40, 2000, 0.99}, {0.5, 41, 1012, 0.98}};
  s.baselines = {{"unigram", 4.92}};
  s.directory = "runs/one";
  return s;
}

/// A run on the wall clock that learned from points and was slower than it should have been.
run_summary late_summary() {
  run_summary s = some_summary();
  s.clock = "wall";
  s.unit = "point";
  s.precision = "f32";
  s.clock_seconds = 199.5;
  s.virtual_seconds = std::numeric_limits<double>::quiet_NaN();
  s.final->bits_per_byte = std::numeric_limits<double>::quiet_NaN();
  s.best->bits_per_byte = std::numeric_limits<double>::quiet_NaN();
  s.baselines.clear();
  s.late = {12, 0.31, 1.2};
  s.data_wait = 0.25;
  s.evaluations_skipped = 3;
  s.inner_states_behind = 2;
  s.per_worker[1].seconds_per_step = 0.0;
  return s;
}

void check_width(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(line.size() <= 80);
  }
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("summary.json has every promised key and every digit") {
  const auto json = nlohmann::json::parse(to_json(some_summary()));
  CHECK(json["method"] == "async delayed-nesterov, dylu");
  CHECK(json["seed"] == 3);
  CHECK(json["clock"] == "virtual");
  CHECK(json["outcome"] == "finished");
  CHECK(json["unit"] == "token");
  CHECK(json["evaluated_on"] == "held-out");
  CHECK(json["precision"] == "bf16");
  CHECK(json["parameters"] == 825'344);
  CHECK(json["workers"] == 2);
  CHECK(json["local_steps"] == 4012);
  CHECK(json["tokens"] == 8'216'576);
  CHECK(json["epochs"] == 2.75);
  CHECK(json["server_version"] == 164);
  CHECK(json["wall_seconds"] == 200.3);
  CHECK(json["clock_seconds"] == 6000.0);
  CHECK(json["virtual_seconds"] == 6000.0);
  CHECK(json["tokens_per_second"] == 41'000.2);
  CHECK(json["utilisation"] == 0.974);
  CHECK(json["data_wait"] == 0.031);
  CHECK(json["staleness"] == nlohmann::json({{"mean", 2.93}, {"p50", 3}, {"p99", 5}, {"max", 6}}));
  CHECK(json["updates"] == nlohmann::json({{"applied", 164},
                                           {"stale", 1},
                                           {"rejected", 2},
                                           {"rejected_as", {{"not_finite", 1}, {"outlier", 1}}},
                                           {"duplicate", 4},
                                           {"run_ended", 3},
                                           {"abandoned", 5}}));
  CHECK(json["late"] ==
        nlohmann::json({{"rounds", 0}, {"mean_seconds", 0.0}, {"max_seconds", 0.0}}));
  CHECK(json["evaluations_skipped"] == 0);
  CHECK(json["inner_states_behind"] == 0);
  CHECK(json["bytes"] == nlohmann::json({{"down", 541'000'000},
                                         {"up", 540'000'000},
                                         {"within_groups", 0},
                                         {"wire_down", 0},
                                         {"wire_up", 0}}));
  CHECK(json["final"]["loss"] == 0.1 + 0.2);
  CHECK(json["final"]["perplexity"] == 1.35);
  CHECK(json["final"]["bits_per_byte"] == 0.43);
  CHECK(json["final"]["accuracy"] == 0.52);
  CHECK(json["final"]["shard_loss"] == nlohmann::json({0.25, 0.35}));
  CHECK(json["final"]["quotas"] == nlohmann::json({50, 0, 25, 1}));
  CHECK(json["final"]["workers_live"] == 3);
  CHECK(json["best"]["local_steps"] == 3600);
  CHECK(json["last_finite_version"] == 164);
  CHECK(json["params_sha256"] == "0123456789abcdef0123456789abcdef");
  CHECK(json["per_worker"].size() == 2);
  CHECK(json["per_worker"][1]["seconds_per_step"] == 0.5);
  CHECK(json["per_worker"][1]["rounds"] == 41);
  CHECK(json["per_worker"][1]["local_steps"] == 1012);
  CHECK(json["baselines"] == nlohmann::json{{"unigram", {{"bits_per_byte", 4.92}}}});
  CHECK(json["directory"] == "runs/one");
}

TEST_CASE("numbers that do not exist are null") {
  run_summary s = some_summary();
  s.final->loss = std::numeric_limits<double>::quiet_NaN();
  s.final->perplexity = std::numeric_limits<double>::infinity();
  s.final->shard_loss = {1.0, -std::numeric_limits<double>::infinity()};
  s.best.reset();
  s.last_finite_version.reset();
  s.tokens_per_second = std::numeric_limits<double>::infinity();
  const auto json = nlohmann::json::parse(to_json(s));
  CHECK(json["final"]["loss"].is_null());
  CHECK(json["final"]["perplexity"].is_null());
  CHECK(json["final"]["shard_loss"][1].is_null());
  CHECK(json["best"].is_null());
  CHECK(json["last_finite_version"].is_null());
  CHECK(json["tokens_per_second"].is_null());
}

TEST_CASE("on the wall clock, without text, there are late rounds and no virtual time") {
  const auto json = nlohmann::json::parse(to_json(late_summary()));
  CHECK(json["unit"] == "point");
  CHECK(json["clock_seconds"] == 199.5);
  CHECK(json["virtual_seconds"].is_null());
  CHECK(json["final"]["bits_per_byte"].is_null());
  CHECK(json["late"] ==
        nlohmann::json({{"rounds", 12}, {"mean_seconds", 0.31}, {"max_seconds", 1.2}}));
  CHECK(json["evaluations_skipped"] == 3);
  CHECK(json["inner_states_behind"] == 2);
  CHECK(json["per_worker"][0]["seconds_per_step"] == 0.25);
  CHECK(json["per_worker"][1]["seconds_per_step"].is_null());  // never measured
}

TEST_CASE("a run without workers or evaluations has an empty list, not a missing one") {
  const auto json = nlohmann::json::parse(to_json(run_summary{}));
  CHECK(json["per_worker"] == nlohmann::json::array());
  CHECK(json["final"].is_null());
  CHECK(contains(to_text(run_summary{}), "no evaluation was made"));
}

TEST_CASE("a directory whose name is not UTF-8 still gives valid JSON") {
  run_summary s = some_summary();
  s.directory = "runs/\xff";
  CHECK(nlohmann::json::parse(to_json(s))["directory"] == "runs/\xEF\xBF\xBD");
}

TEST_CASE("a line of metrics.jsonl is one line with all fields of an evaluation") {
  const std::string line = to_json_line(some_evaluation());
  CHECK(line.find('\n') == std::string::npos);
  CHECK(nlohmann::json::parse(line) == nlohmann::json({{"local_steps", 4000},
                                                       {"version", 160},
                                                       {"tokens", 8'192'000},
                                                       {"clock_seconds", 604.0},
                                                       {"wall_seconds", 200.0},
                                                       {"loss", 0.1 + 0.2},
                                                       {"perplexity", 1.35},
                                                       {"bits_per_byte", 0.43},
                                                       {"accuracy", 0.52},
                                                       {"top5", nullptr},
                                                       {"metrics", nlohmann::json::object()},
                                                       {"shard_loss", {0.25, 0.35}},
                                                       {"quotas", {50, 0, 25, 1}},
                                                       {"workers_live", 3}}));
}

TEST_CASE("a line of metrics.jsonl about a worker is told by its event") {
  worker_change_record change{612.5, 3, "pace", 0.1 + 0.2, 4};
  const std::string line = to_json_line(change);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(nlohmann::json::parse(line) == nlohmann::json({{"event", "pace"},
                                                       {"clock_seconds", 612.5},
                                                       {"worker", 3},
                                                       {"seconds_per_step", 0.1 + 0.2},
                                                       {"quota", 4}}));
  change = {700.0, 3, "leave", std::numeric_limits<double>::quiet_NaN(), 0};
  const auto json = nlohmann::json::parse(to_json_line(change));
  CHECK(json["event"] == "leave");
  CHECK(json["seconds_per_step"].is_null());
  CHECK(json["quota"] == 0);
}

TEST_CASE("the closing summary tells what came out, at what cost, and where it is") {
  const std::string text = to_text(some_summary());
  for (const std::string part :
       {"Finished after 4012 local steps: async delayed-nesterov, dylu", "best: after 3600 steps",
        "0.4300", "unigram 4.920", "52.0%", "3m 20s real, 1h 40m virtual", "97.4%",
        "mean 2.93, median 3, 99% at most 5, max 6",
        "164 applied, 1 too stale, 2 rejected, 4 duplicate, 3 cut off",
        "541 MB to the workers, 540 MB to the server", "0123456789abcdef...", "0.250 s/step",
        "2000", "runs/one"}) {
    CAPTURE(part);
    CHECK(contains(text, part));
  }
  CHECK(text.back() == '\n');
}

TEST_CASE("the closing summary of a toy speaks of points, and of nothing that only text has") {
  const std::string text = to_text(late_summary());
  for (const std::string part :
       {"nats per point", "classified right", "  points         8.22M, "}) {
    CAPTURE(part);
    CHECK(contains(text, part));
  }
  for (const std::string part : {"token", "bits per byte", "perplexity", "nan", "n-grams"}) {
    CAPTURE(part);
    CHECK_FALSE(contains(text, part));
  }
}

TEST_CASE("metrics of a model of one's own are told, and no accuracy that is none") {
  run_summary s = late_summary();
  s.final->accuracy = s.best->accuracy = std::nan("");
  CHECK_FALSE(contains(to_text(s), "accuracy"));
  s.final->metrics = s.best->metrics = {{"recall", 0.25}};
  CHECK(contains(to_text(s), "  recall            0.2500     0.2500"));
  const auto json = nlohmann::json::parse(to_json(s));
  CHECK(json["final"]["accuracy"].is_null());
  CHECK(json["final"]["metrics"] == nlohmann::json({{"recall", 0.25}}));
}

TEST_CASE("top-5 accuracy is told where there is one") {
  run_summary s = late_summary();
  CHECK_FALSE(contains(to_text(s), "top-5"));
  CHECK(nlohmann::json::parse(to_json(s))["final"]["top5"].is_null());
  s.final->top5 = 0.875;
  s.best->top5 = 0.9;
  CHECK(contains(to_text(s), "  top-5              87.5%      90.0%   "));
  const auto json = nlohmann::json::parse(to_json(s));
  CHECK(json["final"]["top5"] == 0.875);
  CHECK(json["best"]["top5"] == 0.9);
  CHECK(nlohmann::json::parse(to_json_line(*s.final))["top5"] == 0.875);
}

TEST_CASE("the closing summary does not call points held out that are trained on") {
  run_summary s = late_summary();
  CHECK(contains(to_text(s), "  held-out data "));
  s.evaluated_on = "training";
  CHECK_FALSE(contains(to_text(s), "held-out"));
  CHECK(contains(to_text(s), "  training data "));
}

TEST_CASE("the closing summary tells of what went wrong only if it did") {
  std::string text = to_text(late_summary());
  CHECK(contains(text,
                 "  late           12 of 81 rounds were finished later than due, by 310ms on\n"
                 "                 average, 1.2s at most: this machine is too slow for these "
                 "paces\n"));
  CHECK(contains(text,
                 "  evaluations    3 skipped: each fell due while another was still running\n"));
  CHECK(contains(text, "25.0% of the real time of rounds was spent on"));
  CHECK(contains(text, "\n                 5 more abandoned, because their workers left\n"));
  CHECK(contains(text, "\n                 (rejected: 1 not_finite, 1 outlier)\n"));
  run_summary fine = some_summary();
  fine.updates.abandoned = 0;
  fine.updates.rejected_as.clear();
  text = to_text(fine);
  for (const std::string part : {"late ", "skipped", "abandoned", "waiting", "(rejected"}) {
    CAPTURE(part);
    CHECK_FALSE(contains(text, part));
  }
}

TEST_CASE("a worker of which no pace is known has none in the closing summary") {
  CHECK(contains(to_text(late_summary()), "\n       1              -        41 "));
}

TEST_CASE("the closing summary fits into 80 columns") {
  check_width(to_text(some_summary()));
  check_width(to_text(late_summary()));
  run_summary huge = late_summary();
  huge.updates = {123'456'789,
                  1'234'567,
                  1'234'567,
                  1'234'567,
                  1'234'567,
                  1'234'567,
                  {{"not_finite", 1'000'000}, {"outlier", 234'566}, {"stale_incarnation", 1}}};
  huge.late.rounds = 123'456'789;
  check_width(to_text(huge));
}

TEST_CASE("wall-clock runs have no virtual time, and many workers no long table") {
  run_summary s = some_summary();
  s.clock = "wall";
  s.per_worker.assign(1000, {0.1, 10, 500, 0.9});
  const std::string text = to_text(s);
  CHECK_FALSE(contains(text, "virtual"));
  CHECK(contains(text, "and 988 more workers"));
  CHECK(std::count(text.begin(), text.end(), '\n') < 40);
}
