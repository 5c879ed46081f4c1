#include "bench/train.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "bench/peer_process.hpp"
#include "bench/stopwatch.hpp"
#include "config/error.hpp"

using namespace rubato;

TEST_CASE("the training benchmark says how much longer the peer takes") {
  train_bench_report report;
  report.tokens = 3000;
  report.times = {{1.0, 2.0, 1.5}, {2.0, 3.0, 3.0}};
  CHECK(nlohmann::json::parse(to_json(report))["times_as_long"] == 2.0);
  const auto text = to_text(report);
  CHECK(text.find("2.00 times as long") != std::string::npos);
  CHECK(text.find("2000 tokens/s") != std::string::npos);
}

TEST_CASE("a peer is told the size of a transformer, and refused for anything else") {
  config c;
  c.model.kind = "transformer";
  c.model.layers = 6;
  c.model.width = 256;
  c.model.heads = 4;
  c.model.sequence_length = 128;
  c.data.batch_size = 8;
  CHECK(transformer_arguments(c, {0, 8192}) == "6 256 4 64 1024 8192 128 8 1");
  c.model.kind = std::string("mlp");
  CHECK_THROWS_AS(transformer_arguments(c, {2, 4}), usage_error);
}

TEST_CASE("a stopwatch goes from the end of the warm-up to the end of the run") {
  stopwatch watch(10, 30);
  const auto at = [&](std::int64_t steps) {
    progress p;
    p.local_steps = steps;
    p.tokens = 100 * steps;
    watch.progressed(p);
  };
  at(10);  // the first evaluation is not there yet
  watch.evaluated({});
  at(12);
  at(20);
  CHECK_FALSE(watch.cost());
  at(30);
  REQUIRE(watch.cost());
  CHECK(watch.cost()->tokens == 1800);
  CHECK(watch.cost()->wall_seconds >= 0.0);
}
