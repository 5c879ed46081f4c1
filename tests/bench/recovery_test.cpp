#include "bench/recovery.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "config/error.hpp"

using namespace rubato;

TEST_CASE("the recovery benchmark recovers what merging makes, and leaves nothing") {
  const scratch_folder here("/var/tmp");  // on a disk where the one for temporary files may not be
  int told = 0;
  const auto report = measure_recovery(
      {}, {.directory = here.path(), .parameters = 50'000, .updates = 5, .repeats = 2},
      [&](std::string_view) { ++told; });
  CHECK(told == 2);
  CHECK(report.checkpoint_bytes > 3 * 200'000);  // parameters, and two buffers of delayed Nesterov
  CHECK(report.journal_bytes > 5 * 200'000);
  CHECK(report.journal_bytes < 5 * 201'000);
  CHECK(report.times.own.size() == 2);
  CHECK(report.read_seconds.values.size() == 2);
  CHECK(std::filesystem::is_empty(here.path()));
  CHECK(to_text(report).find("5 updates") != std::string::npos);
  CHECK(nlohmann::json::parse(to_json(report))["recovery_seconds"].size() == 2);
}

TEST_CASE("a method that needs what rounds started from has no recovery benchmark") {
  config c;
  c.outer.optimizer = "mixing";
  CHECK_THROWS_AS(measure_recovery(c, {.parameters = 10}, [](std::string_view) {}), usage_error);
}

TEST_CASE("files that stay in memory are no measure of reading from a disk") {
  if (!std::filesystem::is_directory("/dev/shm")) return;
  CHECK_THROWS_AS(
      measure_recovery({}, {.directory = "/dev/shm", .parameters = 50'000, .repeats = 1},
                       [](std::string_view) {}),
      usage_error);
}
