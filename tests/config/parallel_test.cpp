#include "config/parallel.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

using rubato::in_parallel;

TEST_CASE("a loop in parallel does each of its rounds once") {
  for (const std::size_t threads : {1, 3, 8}) {
    std::vector<std::atomic<int>> done(5);
    in_parallel(5, threads, [&](std::size_t i) { ++done[i]; });
    for (const auto& count : done) CHECK(count == 1);
  }
}

TEST_CASE(
    "a loop in parallel throws what its first failing round throws, on any number of threads") {
  for (const std::size_t threads : {1, 2, 3, 8}) {
    CHECK_THROWS_WITH(in_parallel(100, threads,
                                  [](std::size_t i) {
                                    if (i >= 20) throw std::runtime_error(std::to_string(i));
                                  }),
                      "20");
  }
}
