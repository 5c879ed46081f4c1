#include "bench/scale.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "bench/child_process.hpp"
#include "config/error.hpp"

using namespace rubato;

TEST_CASE("the scale benchmark's report compares times, and memory of a worker") {
  scale_bench_report report;
  report.lanes = 2;
  report.merging = {{1000.0, 900.0, 800.0}, {2000.0, 1800.0, 800.0}};
  report.events = {{1000.0}, {1100.0}};
  report.round_trips = {9000.0, 9900.0, 9900.0};
  report.memory_per_worker = 4096.0;
  report.network = {10, {600.0}, {500.0}, {800.0}};
  CHECK(report.merging.growth() == doctest::Approx(2.0));
  const auto read = nlohmann::json::parse(to_json(report));
  CHECK(read["events"]["growth"] == doctest::Approx(1.1));
  CHECK(read["memory_per_worker_bytes"] == 4096.0);
  const auto text = to_text(report);
  CHECK(text.find("900/s") != std::string::npos);
  CHECK(text.find("11.0") != std::string::npos);  // round trips an update
  CHECK(text.find("0.60") !=
        std::string::npos);  // of two bare loops that do not disturb each other
  CHECK(text.find("0.75") != std::string::npos);  // of two as they do
}

TEST_CASE("the scale benchmark refuses to compare a run with a larger one") {
  CHECK_THROWS_AS(measure_scale({.workers = 20, .few = 20}, [](auto) {}), usage_error);
}

TEST_CASE("a program that fails is an error with what it said") {
  child_process child({"/bin/sh", "-c", "echo half; echo why >&2; exit 3"});
  CHECK_THROWS_WITH_AS(child.finish(), "bench: /bin/sh has failed: half\nwhy\n", run_error);
  CHECK(child.peak_memory() > 0);
}
