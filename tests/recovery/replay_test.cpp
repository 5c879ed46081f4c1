#include "recovery/replay.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "config/error.hpp"
#include "tests/recovery/little_run.hpp"

using namespace rubato;

namespace {

replay_start beginning_of(const little_run& run) {
  return {.version = 0,
          .parameters = run.moments.front().state.parameters,
          .outer = {},
          .data_parallel = {},
          .groups = {},
          .bases = {}};
}

std::string hash(const little_run& run, const version_ptr& parameters) {
  return parameters_sha256(run.layout, parameters->span());
}

/// Adds the records from `place` on, and compares at all later moments of the run.
void follow(const little_run& run, replayer& replay, std::size_t place) {
  for (const auto& moment : run.moments) {
    if (moment.record < place) continue;
    for (; place < moment.record; ++place) replay.add({place, run.records[place]});
    replay.complete();
    CHECK(replay.version() == moment.state.version);
    CHECK(hash(run, replay.parameters()) == hash(run, moment.state.parameters));
  }
  for (; place < run.records.size(); ++place) replay.add({place, run.records[place]});
  replay.complete();
  CHECK(hash(run, replay.parameters()) == hash(run, run.parameters()));
}

/// All of the run through another configuration.
version_ptr what_if(const little_run& run, const config& other) {
  replayer replay(run.layout, other, beginning_of(run), false);
  for (std::size_t i = 0; i < run.records.size(); ++i) replay.add({i, run.records[i]});
  replay.complete();
  return replay.parameters();
}

std::size_t first_settlement(const little_run& run) {
  std::size_t place = 0;
  while (!std::holds_alternative<settle_record>(run.records[place])) ++place;
  return place;
}

/// What replaying the run's records ends with when the first settlement is changed.
template <class Change>
std::string error_after(const little_run& run, Change&& change) {
  auto records = run.records;
  change(std::get<settle_record>(records[first_settlement(run)]));
  replayer replay(run.layout, run.settings, beginning_of(run));
  try {
    for (std::size_t i = 0; i < records.size(); ++i) replay.add({i, records[i]});
    replay.complete();
  } catch (const run_error& e) {
    return e.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("a replay reaches all that a run had, with every method") {
  for (const auto& method : little_methods()) {
    CAPTURE(method.first);
    const little_run run(little_config(method.second));
    REQUIRE(run.core().version() > 3);
    replayer replay(run.layout, run.settings, beginning_of(run));
    follow(run, replay, 0);
    CHECK(replay.updates() >= run.core().count(fate::applied));
  }
}

TEST_CASE("a replay goes on from any moment, with every method") {
  for (const auto& method : little_methods()) {
    CAPTURE(method.first);
    const little_run run(little_config(method.second));
    for (std::size_t i = 0; i < run.moments.size(); i += 11) {
      const auto& moment = run.moments[i];
      replayer replay(run.layout, run.settings, moment.state);
      follow(run, replay, moment.record);
    }
  }
}

TEST_CASE("replayed SGD is the sum of the weighted updates") {
  const little_run run(little_config(
      {{"outer.optimizer", "sgd"}, {"outer.lr", "0.5"}, {"staleness.weight", "polynomial"}}));
  std::vector<double> theta;
  const auto& begin = *run.moments.front().state.parameters;
  const std::size_t size = run.layout.end(section::trainable);
  for (std::size_t i = 0; i < size; ++i) theta.push_back(begin.data()[i]);
  for (const auto& record : run.records) {
    const auto* settled = std::get_if<settle_record>(&record);
    if (settled == nullptr || settled->merge == 0) continue;
    const auto delta = made_up(
        run.layout, {1, settled->work.worker, settled->work.incarnation, settled->work.sequence});
    const double weight = 1.0 / std::sqrt(1.0 + static_cast<double>(settled->staleness));
    for (std::size_t i = 0; i < size; ++i) theta[i] -= 0.5 * weight * delta->data()[i];
  }
  const auto replayed = what_if(run, run.settings);
  for (std::size_t i = 0; i < size; ++i) {
    CHECK(replayed->data()[i] == doctest::Approx(theta[i]).epsilon(1e-5).scale(1.0));
  }
}

TEST_CASE("what if the optimizer had been another: as a run with it, on the same updates") {
  // The made-up updates depend on the round alone, and so does who gets which when.
  const little_run run(little_config());
  const std::vector<override_list> others = {
      {{"outer.optimizer", "sgd"}, {"outer.lr", "0.1"}},
      {{"outer.optimizer", "adam"}, {"outer.accumulate", "2"}},
      {{"outer.optimizer", "mixing"}, {"outer.lr", "0.5"}},
      {{"outer.optimizer", "lookahead-nesterov"}},
      {{"outer.momentum", "0.5"}, {"outer.buffer", "3"}, {"outer.activation", "0.2"}}};
  for (const auto& settings : others) {
    CAPTURE(settings.front().second);
    const little_run other(little_config(settings));
    const auto result = what_if(run, other.settings);
    CHECK(hash(run, result) == hash(other, other.parameters()));
    CHECK(hash(run, result) != hash(run, run.parameters()));
  }
}

TEST_CASE("a record that cannot be followed is named with what is wrong") {
  const little_run run(little_config());
  const auto place = std::to_string(first_settlement(run));
  CHECK(error_after(run, [](settle_record&) {}) == "none");
  const auto begins = [&](const std::string& text, const std::string& rest) {
    CAPTURE(text);
    return text == "record " + place + " of the journal cannot be replayed: " + rest;
  };
  CHECK(begins(error_after(run, [](auto& r) { r.update = {}; }),
               "round 0 of worker 0: its update has 0 bytes, the model's have 320"));
  CHECK(begins(error_after(run, [](auto& r) { r.codec = 7; }),
               "round 0 of worker 0: its update is in codec 7, which is not known here"));
  CHECK(begins(error_after(run, [](auto& r) { r.version = 5; }),
               "merge 1 made version 5, but the replay's is 1"));
  CHECK(begins(error_after(run, [](auto& r) { r.weight = 0.0; }),
               "merger: a weight is not positive and finite"));
}

TEST_CASE("an update that is not merged any more is missed at the next round or version") {
  const little_run run(little_config());
  const auto error = error_after(run, [](settle_record& r) {
    r.merge = 0;
    r.fate = static_cast<std::uint8_t>(fate::too_stale);
  });
  CHECK(error.find("but the replay") != std::string::npos);
}

TEST_CASE("a method that looks at bases needs those of the rounds in flight") {
  const little_run run(little_config({{"outer.optimizer", "mixing"}, {"outer.lr", "0.5"}}));
  auto moment = run.moments[run.moments.size() / 2];
  REQUIRE(!moment.state.bases.empty());
  moment.state.bases.clear();
  replayer replay(run.layout, run.settings, moment.state);
  CHECK_THROWS_AS(
      [&] {
        for (std::size_t i = moment.record; i < run.records.size(); ++i) {
          replay.add({i, run.records[i]});
        }
      }(),
      run_error);
}

TEST_CASE("a state of another method is refused") {
  const little_run run(little_config());
  const auto state = run.moments.back().state;
  CHECK_THROWS_AS(replayer(run.layout, little_config({{"outer.optimizer", "adam"}}), state),
                  run_error);
}

TEST_CASE("only what is made of pseudo-gradients may be replayed differently") {
  for (const char* key : {"outer.optimizer", "outer.lr", "outer.momentum", "outer.accumulate",
                          "staleness.compensation"}) {
    CHECK(may_be_replayed_with(key));
  }
  for (const char* key : {"outer.mode", "outer.group_size", "outer.handover", "outer.weighting",
                          "inner.lr", "run.seed", "staleness.weight"}) {
    CHECK(!may_be_replayed_with(key));
  }
}
