#include "config/stages.hpp"

#include <doctest/doctest.h>

#include "config/error.hpp"

using namespace rubato;

namespace {

std::vector<stage> parse(std::vector<std::string> entries, std::int64_t run_steps = 4000) {
  config c;
  c.run.local_steps = run_steps;
  c.quota.local_steps = 7;
  c.quota.stages = std::move(entries);
  return parse_stages(c);
}

std::string error_of(std::vector<std::string> entries, std::int64_t run_steps = 4000) {
  try {
    parse(std::move(entries), run_steps);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("without stages there is one, with the quota's local steps") {
  const auto stages = parse({});
  REQUIRE(stages.size() == 1);
  CHECK(stages[0].from == 0);
  CHECK(stages[0].local_steps == 7);
  CHECK_FALSE(stages[0].data_parallel());
}

TEST_CASE("stages say from when on a round has how many steps") {
  const auto stages = parse({"0 data-parallel", "2000 16", "9000 1"});
  REQUIRE(stages.size() == 3);
  CHECK(stages[0].data_parallel());
  CHECK(stages[1].from == 2000);
  CHECK(stages[1].local_steps == 16);
  CHECK(stages[2].local_steps == 1);
}

TEST_CASE("a percentage is of the run's local steps, rounded to the nearest, a half upwards") {
  const auto from = [](const std::string& percent, std::int64_t run_steps) {
    return parse({"0 1", percent + "% 16"}, run_steps).back().from;
  };
  CHECK(from("30", 4000) == 1200);
  CHECK(from("30", 4001) == 1200);
  CHECK(from("30", 4002) == 1201);
  CHECK(from("12.5", 4) == 1);
  CHECK(from("12.499", 12) == 1);
  CHECK(from("12.5", 12) == 2);
  CHECK(from("33.333", 1'000'000'000) == 333'330'000);
  CHECK(from("0.001", 1'000'000'000) == 10'000);
  CHECK(from("007.50", 200) == 15);
  CHECK(from("100", 1'000'000'000) == 1'000'000'000);
  CHECK(from("100.000", 9) == 9);
}

TEST_CASE("percentages and numbers of steps make one order") {
  const auto stages = parse({"0% data-parallel", "1000 4", "50% data-parallel", "3000 8"});
  REQUIRE(stages.size() == 4);
  CHECK(stages[0].from == 0);
  CHECK(stages[2].from == 2000);
  CHECK(stages[2].data_parallel());
  CHECK(error_of({"0 1", "50% 4", "2000 8"}) ==
        "\"2000 8\" begins at local step 2000, and must begin after the stage before it, which "
        "begins at 2000");
  CHECK(error_of({"0 1", "1% 4"}, 49) ==
        "\"1% 4\" begins at local step 0, and must begin after the stage before it, which begins "
        "at 0");
  CHECK(error_of({"0 1", "1% 4"}, 50).empty());
}

TEST_CASE("a stage that cannot be read or is out of order is refused with what is wrong") {
  for (const char* wrong : {"",
                            "5",
                            "0 0",
                            "0 -3",
                            "-1 4",
                            "0 4 5",
                            "0  4",
                            "a 4",
                            "0 4x",
                            "0 1000001",
                            "0 dataparallel",
                            "0.5 4",
                            "% 4",
                            "-1% 4",
                            "+1% 4",
                            "0.% 4",
                            ".5% 4",
                            "0.-1% 4",
                            "1.0001% 4",
                            "100.001% 4",
                            "1e1% 4",
                            "0 % 4",
                            "0%",
                            "0%% 4",
                            "1..0% 4",
                            "99999999999999999999% 4",
                            "0 4%"}) {
    CAPTURE(wrong);
    CHECK(error_of({wrong}) ==
          std::string(1, '"') + wrong +
              "\" must be the local steps so far, or a percentage of run.local_steps, and those of "
              "a round, as in \"0 1\", \"2000 16\" or \"33.3% 16\", or \"data-parallel\" in place "
              "of the second");
  }
  CHECK(error_of({"10 4"}) == "\"10 4\" is the first stage, which must begin at 0");
  CHECK(error_of({"10% 4"}) == "\"10% 4\" is the first stage, which must begin at 0");
  CHECK(error_of({"0 4", "9 5", "8 6"}) ==
        "\"8 6\" begins at local step 8, and must begin after the stage before it, which begins at "
        "9");
}
