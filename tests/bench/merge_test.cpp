#include "bench/merge.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "config/error.hpp"

using namespace rubato;

namespace {

const auto nobody = [](std::string_view) {};

}  // namespace

TEST_CASE("the merge benchmark measures a merge, a triad, decoding and a peer") {
  config c;
  c.outer.threads = 2;
  const auto report = measure_merge(c,
                                    {.parameters = 200'001,
                                     .repeats = 2,
                                     .peer = "sh -c 'while read line; do echo 0.$1; done' peer"},
                                    nobody);
  CHECK(report.merge_bytes == 20);
  CHECK(report.of_triad() > 0.0);
  CHECK(report.decoding.own.size() == 2);
  REQUIRE(report.peer);
  CHECK(report.peer->reference == std::vector<double>{0.200001, 0.200001});
  CHECK(to_text(report).find("times as fast as the peer") != std::string::npos);
  CHECK(nlohmann::json::parse(to_json(report))["triad_seconds"].size() == 2);
}

TEST_CASE("what the merge benchmark cannot measure is refused") {
  config c;
  CHECK_THROWS_AS(measure_merge(c, {.parameters = 10, .codec = "int5"}, nobody), usage_error);
  c.outer.threads = 1;
  CHECK_THROWS_WITH_AS(measure_merge(c, {.parameters = 10, .repeats = 1, .peer = "false"}, nobody),
                       "bench: exec false 10 1 did not answer with its seconds: ", run_error);
  c.outer.optimizer = "mixing";
  CHECK_THROWS_AS(measure_merge(c, {.parameters = 10}, nobody), usage_error);
}
