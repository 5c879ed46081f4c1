#include "config/stages.hpp"

#include <doctest/doctest.h>

#include "config/error.hpp"

using namespace rubato;

namespace {

std::vector<stage> parse(std::vector<std::string> entries) {
  config::quota_section quota;
  quota.local_steps = 7;
  quota.stages = std::move(entries);
  return parse_stages(quota);
}

std::string error_of(std::vector<std::string> entries) {
  try {
    parse(std::move(entries));
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

TEST_CASE("a stage that cannot be read or is out of order is refused with what is wrong") {
  for (const char* wrong : {"", "5", "0 0", "0 -3", "-1 4", "0 4 5", "0  4", "a 4", "0 4x",
                            "0 1000001", "0 dataparallel", "0.5 4"}) {
    CAPTURE(wrong);
    CHECK(error_of({wrong}).find("must be the local steps so far and those of a round") !=
          std::string::npos);
  }
  CHECK(error_of({"10 4"}) == "\"10 4\" is the first stage, which must begin at 0");
  CHECK(error_of({"0 4", "0 5"}) == "\"0 5\" must begin after the stage before it");
  CHECK(error_of({"0 4", "9 5", "8 6"}) == "\"8 6\" must begin after the stage before it");
}
