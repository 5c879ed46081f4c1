#include "bench/journal.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/error.hpp"

using namespace rubato;

TEST_CASE("the journal benchmark writes as much with both sides, in turn, and leaves nothing") {
  const scratch_folder here;
  std::vector<std::string> told;
  const auto report = measure_journal({.directory = here.path(),
                                       .update_bytes = 5000,
                                       .group_updates = 3,
                                       .groups = 4,
                                       .repeats = 2},
                                      [&](std::string_view line) { told.emplace_back(line); });
  CHECK(report.block_bytes > 15'000);
  CHECK(report.block_bytes < 17'000);
  CHECK(report.times.own.size() == 2);
  CHECK(report.times.reference.size() == 2);
  CHECK(told.size() == 2);
  CHECK(report.speed() > 0.0);
  CHECK(std::filesystem::is_empty(here.path()));
  CHECK(to_text(report).find("times as fast as dd") != std::string::npos);
  CHECK(nlohmann::json::parse(to_json(report))["dd_seconds"].size() == 2);
}

TEST_CASE("a folder that the journal benchmark cannot write to is told") {
  CHECK_THROWS_AS(measure_journal({.directory = "/proc/nowhere"}, [](std::string_view) {}),
                  run_error);
}

TEST_CASE("what is measured in turn comes in pairs that take turns to be first") {
  std::string order;
  double seconds = 0.0;
  const auto times = measure_in_turn(
      3, [&] { return order += 'o', seconds += 1.0; }, [&] { return order += 'r', 2.0; },
      [&](std::string_view) { order += ' '; });
  CHECK(order == "ro or ro ");
  CHECK(times.own == std::vector<double>{1.0, 2.0, 3.0});
  CHECK(times.reference == std::vector<double>{2.0, 2.0, 2.0});
  CHECK(times.ratio_of_medians() == 1.0);
  CHECK(times.median_of_ratios() == 1.0);
  CHECK(spread({1.0, 2.0, 4.0, 8.0}).middle == 3.0);
  CHECK(spread({1.0, 2.0, 4.0, 8.0}).deviation == 1.5);
}
