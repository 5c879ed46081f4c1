#include "network/backoff.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace rubato;

TEST_CASE("waits double up to a limit, and lie in their upper half") {
  backoff waits(7);
  auto longest = backoff::first;
  for (int attempt = 0; attempt < 12; ++attempt) {
    const auto wait = waits.next();
    CHECK(wait >= longest / 2);
    CHECK(wait <= longest);
    longest = std::min(2 * longest, backoff::last);
  }
  CHECK(longest == backoff::last);
  waits.reset();
  CHECK(waits.next() <= backoff::first);
}

TEST_CASE("two nodes do not wait for the same time, nor does one twice") {
  std::set<std::chrono::nanoseconds> seen;
  for (std::uint64_t node = 0; node < 20; ++node) {
    backoff waits(node);
    seen.insert(waits.next());
    waits.reset();
    seen.insert(waits.next());
  }
  CHECK(seen.size() == 40);
}
