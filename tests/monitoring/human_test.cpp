#include "monitoring/human.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
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
  CHECK(human_duration(4e-6) == "0.0ms");
  CHECK(human_duration(0.0042) == "4.2ms");
  CHECK(human_duration(0.00996) == "10ms");
  CHECK(human_duration(0.31) == "310ms");
  CHECK(human_duration(0.9994) == "999ms");
  CHECK(human_duration(0.9996) == "1.0s");
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

TEST_CASE("a pace is never rounded to nothing") {
  CHECK(human_pace(0.58) == "0.580 s");
  CHECK(human_pace(1000.0) == "1000.000 s");
  CHECK(human_pace(0.01) == "0.010 s");
  CHECK(human_pace(0.00123) == "0.00123 s");
  CHECK(human_pace(1e-9) == "1e-09 s");
}

TEST_CASE("an event is a sentence") {
  const auto sentence = [](const char* event, std::int64_t workers = 4) {
    return human_event(parse_worker_event(event, workers), static_cast<std::size_t>(workers));
  };
  CHECK(sentence("600 2 pause 60") == "at 10m 00s worker 2 pauses for 1m 00s");
  CHECK(sentence("600 0-3 pause 60") == "at 10m 00s all workers pause for 1m 00s");
  CHECK(sentence("600 0-2 leave") == "at 10m 00s workers 0 to 2 leave for good");
  CHECK(sentence("0.5 1-3 leave 3600") == "at 500ms workers 1 to 3 leave for 1h 00m");
  CHECK(sentence("0 3 leave") == "at 0.0s worker 3 leaves for good");
  CHECK(sentence("5 1 pace 1.5") == "at 5.0s worker 1 takes 1.500 s a step from then on");
  CHECK(sentence("5 all pace 0.002") == "at 5.0s all workers take 0.002 s a step from then on");
  CHECK(sentence("5 1 slow-down 4 30") == "at 5.0s worker 1 takes 4 times as long a step for 30s");
  CHECK(sentence("5 all slow-down 0.5") ==
        "at 5.0s all workers take 0.5 times as long a step from then on");
  CHECK(sentence("5 all pause 1", 1) == "at 5.0s worker 0 pauses for 1.0s");
}

TEST_CASE("baselines stand in one line, with their names") {
  CHECK(human_baselines({{"unigram", 4.92}, {"order-2", 2.871}}) == "unigram 4.920, order-2 2.871");
  CHECK(human_baselines({}) == "");
}
