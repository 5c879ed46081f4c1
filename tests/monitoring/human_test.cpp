#include "monitoring/human.hpp"

#include <doctest/doctest.h>

#include <limits>

using namespace rubato;

TEST_CASE("counts are whole below ten thousand and have three digits above") {
  CHECK(human_count(0) == "0");
  CHECK(human_count(9999) == "9999");
  CHECK(human_count(12345) == "12.3k");
  CHECK(human_count(825344) == "825k");
  CHECK(human_count(1210000) == "1.21M");
}

TEST_CASE("rounding never leaves four digits before a unit") {
  CHECK(human_count(99960) == "100k");
  CHECK(human_count(999600) == "1.00M");
  CHECK(human_count(9996000) == "10.0M");
  CHECK(human_bytes(999'500) == "1.00 MB");
}

TEST_CASE("bytes are in units of a thousand") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(812) == "812 B");
  CHECK(human_bytes(22'145'234) == "22.1 MB");
  CHECK(human_bytes(std::numeric_limits<std::uint64_t>::max()) == "18447 PB");
}

TEST_CASE("durations take two units and carry over") {
  CHECK(human_duration(0.0) == "0.0s");
  CHECK(human_duration(4.24) == "4.2s");
  CHECK(human_duration(59.4) == "59s");
  CHECK(human_duration(59.6) == "1m 00s");
  CHECK(human_duration(200.0) == "3m 20s");
  CHECK(human_duration(3599.7) == "1h 00m");
  CHECK(human_duration(2 * 3600 + 5 * 60) == "2h 05m");
  CHECK(human_duration(3 * 86400 + 4 * 3600) == "3d 04h");
}

TEST_CASE("what is not a sensible amount is a question mark") {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double value : {-1.0, infinity, nan}) {
    CHECK(human_count(value) == "?");
    CHECK(human_duration(value) == "?");
  }
  CHECK(human_duration(1e300) == "?");
}

TEST_CASE("long numbers get an exponent, missing ones a name") {
  CHECK(human_number(2.31416, 3) == "2.314");
  CHECK(human_number(4.85e8, 2) == "4.85e+08");
  CHECK(human_number(std::numeric_limits<double>::quiet_NaN(), 2) == "nan");
}

TEST_CASE("baselines stand in one line, with their names") {
  CHECK(human_baselines({{"unigram", 4.92}, {"order-2", 2.871}}) == "unigram 4.920, order-2 2.871");
  CHECK(human_baselines({}) == "");
}
