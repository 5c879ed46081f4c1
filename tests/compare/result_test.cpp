#include "compare/result.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "config/error.hpp"
#include "tests/compare/comparison_fixture.hpp"

using namespace rubato;

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST_CASE("a result is read from the files of a run") {
  const temporary_folder run;
  write_run(run.path(), {9.0, 6.0, 5.0, 4.0, 3.0});
  const auto r = read_result(run.path());
  REQUIRE(r.has_value());
  CHECK_FALSE(r->diverged);
  CHECK(r->initial_loss == 9.0);
  CHECK(r->final_loss == 4.0);  // the mean of 5, 4 and 3
  CHECK(r->last_loss == 3.0);
  CHECK(r->accuracy == 0.75);
  CHECK(std::isnan(r->bits_per_byte));
  CHECK(r->seconds == 40.0);
  CHECK(r->bytes() == 1500.0);
  CHECK(r->bytes_a_worker() == 375.0);
  CHECK(r->parameters == 100.0);
  CHECK(r->versions == 4.0);
  CHECK(r->epochs == 0.5);
  CHECK(r->seconds_an_epoch() == 80.0);
  CHECK(r->applied == 4);
  CHECK(r->wall_seconds == 2.0);
  REQUIRE(r->curve.size() == 5);
  CHECK(r->curve[2].local_steps == 20.0);
  CHECK(r->curve[2].tokens == 80.0);
}

TEST_CASE("bytes along a curve are those of the transfers until then") {
  const temporary_folder run;
  write_run(run.path(), {9.0, 6.0, 5.0, 4.0, 3.0});
  const auto curve = read_result(run.path())->curve;
  // Four rounds: 250 down at 0, 10, 20 and 30 s, 125 up at 10, 20, 30 and 40 s.
  CHECK(curve[0].bytes == 250.0);
  CHECK(curve[1].bytes == 2 * 250.0 + 125.0);
  CHECK(curve[4].bytes == 1500.0);
}

TEST_CASE("the top-5 accuracy and the epochs are read where a run recorded them") {
  const temporary_folder run;
  write_run(run.path(), {9.0, 6.0});
  CHECK(std::isnan(read_result(run.path())->top5));
  nlohmann::json summary;
  std::ifstream(run.file("summary.json")) >> summary;
  summary["final"]["top5"] = 0.9;
  summary.erase("epochs");
  write_bytes(run.file("summary.json"), summary.dump());
  CHECK(read_result(run.path())->top5 == 0.9);
  CHECK(std::isnan(read_result(run.path())->epochs));
}

TEST_CASE("rounds that never arrived are not sent back") {
  const temporary_folder run;
  write_run(run.path(), {9.0, 6.0});
  write_bytes(run.file("updates.jsonl"),
              R"({"assigned_seconds":0,"settled_seconds":10,"fate":"applied"})"
              "\n"
              R"({"assigned_seconds":0,"settled_seconds":5,"fate":"run_ended"})"
              "\n");
  CHECK(read_result(run.path())->curve[0].bytes == 1000.0);
  CHECK(read_result(run.path())->curve[1].bytes == 1500.0);
}

TEST_CASE("a run that diverged has an infinite loss, and one with few evaluations their mean") {
  const temporary_folder run;
  write_run(run.path(), {9.0, 6.0, std::nan("")}, "diverged");
  const auto r = read_result(run.path());
  CHECK(r->diverged);
  CHECK(r->final_loss == infinity);
  CHECK(r->last_loss == infinity);
  write_run(run.path(), {9.0, 6.0, 2.0});
  CHECK(read_result(run.path())->final_loss == 4.0);
  write_run(run.path(), {9.0});
  CHECK(read_result(run.path())->final_loss == 9.0);
}

TEST_CASE("a run that was cut off or interrupted has no result; a damaged one is an error") {
  const temporary_folder run;
  CHECK_FALSE(read_result(run.path()).has_value());
  write_run(run.path(), {9.0, 6.0}, "interrupted");
  CHECK_FALSE(read_result(run.path()).has_value());
  write_run(run.path(), {9.0, 6.0});
  std::filesystem::remove(run.file("metrics.jsonl"));
  CHECK_THROWS_AS(read_result(run.path()), run_error);
  write_bytes(run.file("summary.json"), "{}");
  CHECK_THROWS_AS(read_result(run.path()), run_error);
}
