#include "config/worker_events.hpp"

#include <fmt/format.h>

#include <charconv>
#include <sstream>
#include <string_view>
#include <vector>

#include "config/error.hpp"

namespace rubato {
namespace {

// The virtual clock counts nanoseconds in 64 bits.
constexpr double longest = 1e9;

template <class Number>
bool read(std::string_view word, Number& out) {
  const auto end = word.data() + word.size();
  const auto result = std::from_chars(word.data(), end, out);
  return result.ec == std::errc() && result.ptr == end;
}

double number(const std::string& word, const char* name, double minimum, double maximum) {
  double value = 0.0;
  if (!read(word, value) || !(value >= minimum && value <= maximum)) {
    throw usage_error(fmt::format("\"{}\" is no {}: a number from {} to {} is wanted", word, name,
                                  minimum, maximum));
  }
  return value;
}

void read_workers(const std::string& word, std::int64_t workers, worker_event& event) {
  event.first = 0;
  event.last = workers - 1;
  if (word == "all") return;
  const auto dash = word.find('-');
  const std::string_view text = word;
  const bool valid = dash == std::string::npos ? read(text, event.first) && read(text, event.last)
                                               : read(text.substr(0, dash), event.first) &&
                                                     read(text.substr(dash + 1), event.last);
  if (valid && 0 <= event.first && event.first <= event.last && event.last < workers) return;
  const auto last = workers - 1;
  throw usage_error(fmt::format("\"{}\" is no worker of this run: {} is wanted", word,
                                workers == 1 ? "0 or all"
                                             : fmt::format("a number from 0 to {}, a range as in "
                                                           "0-{}, or all",
                                                           last, last)));
}

}  // namespace

worker_event parse_worker_event(const std::string& text, std::int64_t workers) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  if (words.size() < 3) {
    throw usage_error(
        "a time, a worker and what happens to it are wanted, as in \"600 2 pause 60\"");
  }
  worker_event event;
  event.at = number(words[0], "time in seconds", 0.0, longest);
  read_workers(words[1], workers, event);

  const auto& what = words[2];
  const auto arguments = words.size() - 3;
  const auto expect = [&](std::size_t fewest, std::size_t most, const char* form) {
    if (arguments < fewest || arguments > most) {
      throw usage_error(fmt::format("the form is \"TIME WORKER {}\"", form));
    }
  };
  const auto duration = [&](std::size_t word) {
    if (word < words.size())
      event.duration = number(words[word], "duration in seconds", 1e-9, longest);
  };
  if (what == "pace") {
    expect(1, 1, "pace SECONDS");
    event.what = worker_event::kind::pace;
    event.value = number(words[3], "pace in seconds a step", 1e-9, 1000.0);
  } else if (what == "slow-down") {
    expect(1, 2, "slow-down FACTOR [DURATION]");
    event.what = worker_event::kind::slow_down;
    event.value = number(words[3], "factor", 1e-3, 1e3);
    duration(4);
  } else if (what == "pause") {
    expect(1, 1, "pause DURATION");
    event.what = worker_event::kind::pause;
    duration(3);
  } else if (what == "leave") {
    expect(0, 1, "leave [DURATION]");
    event.what = worker_event::kind::leave;
    duration(3);
  } else {
    throw usage_error(
        fmt::format("\"{}\" is not known; it is pace, slow-down, pause or leave", what));
  }
  return event;
}

}  // namespace rubato
