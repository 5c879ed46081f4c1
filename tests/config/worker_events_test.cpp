// What workers.events may say, and every way of saying it wrong.
#include "config/worker_events.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "config/error.hpp"

using namespace rubato;

namespace {

constexpr double for_good = std::numeric_limits<double>::infinity();

/// The message that parsing ends with, in a run of four workers; empty if there is none.
std::string error_of(const std::string& text, std::int64_t workers = 4) {
  try {
    parse_worker_event(text, workers);
  } catch (const usage_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("an event is a time, workers, what happens to them, and for how long") {
  struct form {
    std::string text;
    double at;
    std::int64_t first, last;
    worker_event::kind what;
    double value, duration;
  };
  using kind = worker_event::kind;
  const std::vector<form> table = {
      {"600 2 pace 1.5", 600.0, 2, 2, kind::pace, 1.5, for_good},
      {"0 0 slow-down 4", 0.0, 0, 0, kind::slow_down, 4.0, for_good},
      {"0.5 0 slow-down 0.25 60", 0.5, 0, 0, kind::slow_down, 0.25, 60.0},
      {"1e3 1-3 pause 0.125", 1000.0, 1, 3, kind::pause, 0.0, 0.125},
      {"600 all leave", 600.0, 0, 3, kind::leave, 0.0, for_good},
      {"600 3 leave 60", 600.0, 3, 3, kind::leave, 0.0, 60.0},
      {"600 2-2 leave", 600.0, 2, 2, kind::leave, 0.0, for_good},
      {"  600\t2\n leave  ", 600.0, 2, 2, kind::leave, 0.0, for_good},
      // As far as numbers go.
      {"1000000000 0-3 pause 1e9", 1e9, 0, 3, kind::pause, 0.0, 1e9},
      {"1 0 pause 1e-9", 1.0, 0, 0, kind::pause, 0.0, 1e-9},
      {"1 0 pace 1e-9", 1.0, 0, 0, kind::pace, 1e-9, for_good},
      {"1 0 pace 1000", 1.0, 0, 0, kind::pace, 1000.0, for_good},
      {"1 0 slow-down 0.001", 1.0, 0, 0, kind::slow_down, 1e-3, for_good},
      {"1 0 slow-down 1000", 1.0, 0, 0, kind::slow_down, 1e3, for_good},
  };
  for (const auto& expected : table) {
    CAPTURE(expected.text);
    const auto event = parse_worker_event(expected.text, 4);
    CHECK(event.at == expected.at);
    CHECK(event.first == expected.first);
    CHECK(event.last == expected.last);
    CHECK(event.what == expected.what);
    if (event.what == kind::pace || event.what == kind::slow_down) {
      CHECK(event.value == expected.value);
    }
    CHECK(event.duration == expected.duration);
  }
}

TEST_CASE("an event with too few or too many words is told the form") {
  const std::string wanted =
      "a time, a worker and what happens to it are wanted, as in \"600 2 pause 60\"";
  for (const std::string text : {"", " ", "600", "600 2"}) CHECK(error_of(text) == wanted);
  for (const std::string text : {"600 2 pace", "600 2 pace 1 60"}) {
    CHECK(error_of(text) == "the form is \"TIME WORKER pace SECONDS\"");
  }
  for (const std::string text : {"600 2 slow-down", "600 2 slow-down 2 60 1"}) {
    CHECK(error_of(text) == "the form is \"TIME WORKER slow-down FACTOR [DURATION]\"");
  }
  for (const std::string text : {"600 2 pause", "600 2 pause 60 1"}) {
    CHECK(error_of(text) == "the form is \"TIME WORKER pause DURATION\"");
  }
  CHECK(error_of("600 2 leave 60 1") == "the form is \"TIME WORKER leave [DURATION]\"");
}

TEST_CASE("an event that is not known is told those that are") {
  for (const std::string what : {"nap", "Pause", "slowdown", "60"}) {
    CHECK(error_of("600 2 " + what + " 60") ==
          "\"" + what + "\" is not known; it is pace, slow-down, pause or leave");
  }
}

TEST_CASE("an event's worker is one of the run's") {
  for (const std::string who : {"4", "-1", "0-4", "2-1", "1-", "-", "1-2-3", "two", "All", "1.0",
                                "0x1", "+1", "99999999999999999999"}) {
    CHECK(error_of("600 " + who + " leave") ==
          "\"" + who +
              "\" is no worker of this run: a number from 0 to 3, a range as in 0-3, or all is "
              "wanted");
  }
  CHECK(error_of("600 1 leave", 1) == "\"1\" is no worker of this run: 0 or all is wanted");
  CHECK(error_of("600 65535 leave", 65536) == "");
}

TEST_CASE("an event's numbers are in range") {
  const auto wanted = [](const std::string& word, const std::string& what) {
    return "\"" + word + "\" is no " + what + " is wanted";
  };
  for (const std::string time : {"-1", "1e10", "nan", "inf", "soon", "1s", "1,5", "0x10"}) {
    CHECK(error_of(time + " 2 leave") ==
          wanted(time, "time in seconds: a number from 0 to 1000000000"));
  }
  for (const std::string pace : {"0", "-1", "1001", "nan", "fast"}) {
    CHECK(error_of("600 2 pace " + pace) ==
          wanted(pace, "pace in seconds a step: a number from 1e-09 to 1000"));
  }
  for (const std::string factor : {"0", "-2", "1001", "0.0001", "nan", "2x"}) {
    CHECK(error_of("600 2 slow-down " + factor) ==
          wanted(factor, "factor: a number from 0.001 to 1000"));
  }
  for (const std::string duration : {"0", "-1", "1e10", "inf", "nan", "1m"}) {
    const auto message = wanted(duration, "duration in seconds: a number from 1e-09 to 1000000000");
    CHECK(error_of("600 2 slow-down 2 " + duration) == message);
    CHECK(error_of("600 2 pause " + duration) == message);
    CHECK(error_of("600 2 leave " + duration) == message);
  }
}
