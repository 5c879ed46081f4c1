#include "bench/cluster.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "bench/wire.hpp"

using namespace rubato;

TEST_CASE("what is expected of workers behind slow links is arithmetic") {
  CHECK(expected_utilisation(3.0, 1.0, 2.0, false) == doctest::Approx(0.5));
  // Two rounds are on their way at once: as long as the links take, two rounds are computed.
  CHECK(expected_utilisation(3.0, 4.0, 5.0, true) == doctest::Approx(0.5));
  CHECK(expected_utilisation(3.0, 1.0, 1.9, true) == 1.0);
}

TEST_CASE("the cluster benchmark's report divides the steps' time by that of a round") {
  cluster_bench_report report;
  report.compute = 2.0;
  report.lines.push_back(
      {.mbit = 100, .periods = {5.0, 4.0, 9.0}, .virtual_period = 4.5, .up = 1.0, .down = 1.0});
  const auto read = nlohmann::json::parse(to_json(report));
  CHECK(read["links"][0]["utilisation"] == 0.4);
  CHECK(read["links"][0]["expected"] == 0.5);
  const auto text = to_text(report);
  CHECK(text.find("40.0%") != std::string::npos);
  CHECK(text.find("0.800") != std::string::npos);
  CHECK(text.find("-10.0%") != std::string::npos);
}

TEST_CASE("the wire benchmark's ratio is that of speeds, for the same parameters") {
  wire_bench_report report;
  report.parameter_bytes = 1000;
  report.lines.push_back(
      {codec::bf16, 500, {.own = {0.4, 0.5, 0.8}, .reference = {0.1, 0.2, 0.2}}});
  CHECK(report.lines[0].ratio() == doctest::Approx(0.25));
  CHECK(report.lines[0].ratio_to_fastest() == doctest::Approx(0.2));
  CHECK(nlohmann::json::parse(to_json(report))["codecs"][0]["codec"] == "bf16");
  CHECK(to_text(report).find("bf16") != std::string::npos);
}
