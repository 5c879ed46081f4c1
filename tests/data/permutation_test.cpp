#include "data/permutation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

using rubato::permuted;
using rubato::random_stream;

namespace {

std::vector<std::uint64_t> order(std::uint64_t size, std::uint64_t seed, random_stream stream,
                                 std::uint64_t first, std::uint64_t second) {
  std::vector<std::uint64_t> places;
  for (std::uint64_t i = 0; i < size; ++i) {
    places.push_back(permuted(i, size, seed, stream, {first, second}));
  }
  return places;
}

}  // namespace

TEST_CASE("a permutation sends the indices to all places, one to each") {
  for (const std::uint64_t size : {1, 2, 3, 4, 5, 15, 16, 17, 64, 65, 1000, 5000}) {
    CAPTURE(size);
    auto places = order(size, 1, random_stream::test, 2, 3);
    if (size >= 15) CHECK_FALSE(std::is_sorted(places.begin(), places.end()));
    std::sort(places.begin(), places.end());
    std::vector<std::uint64_t> all(size);
    std::iota(all.begin(), all.end(), 0);
    CHECK(places == all);
  }
}

TEST_CASE("each seed, stream and key has a permutation of its own") {
  const std::set<std::vector<std::uint64_t>> orders = {
      order(100, 1, random_stream::test, 0, 0),
      order(100, 2, random_stream::test, 0, 0),
      order(100, 1, random_stream::training_samples, 0, 0),
      order(100, 1, random_stream::test, 1, 0),
      order(100, 1, random_stream::test, 0, 1),
  };
  CHECK(orders.size() == 5);
}

TEST_CASE("an index goes to any place equally often, and so does its neighbour after it") {
  constexpr std::uint64_t size = 1000;
  constexpr int trials = 20000;
  std::vector<int> places(10, 0);  // in tenths of all
  std::vector<int> distances(10, 0);
  for (std::uint64_t key = 0; key < trials; ++key) {
    const auto place = permuted(4, size, 1, random_stream::test, {0, key});
    const auto next = permuted(5, size, 1, random_stream::test, {0, key});
    ++places[place / 100];
    ++distances[(next + size - place) % size / 100];
  }
  for (const auto& counts : {places, distances}) {
    // A standard deviation is 42.
    for (const int count : counts) CHECK(std::abs(count - trials / 10) < 170);
  }
}

TEST_CASE("a permutation of very many is as good as free") {
  constexpr std::uint64_t size = (std::uint64_t{1} << 40) + 1;
  std::set<std::uint64_t> places;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    places.insert(permuted(size - 1 - i, size, 1, random_stream::test, {0, 0}));
  }
  CHECK(places.size() == 1000);
  CHECK(*places.rbegin() < size);
  CHECK(*places.rbegin() > size / 2);
  CHECK(*places.begin() < size / 2);
}

TEST_CASE("permutations are the same everywhere and for ever") {
  // Constants: other values mean that no earlier result can be repeated.
  const std::vector<std::uint64_t> begin = {51, 110, 822, 253, 129, 603, 148, 557, 280, 625};
  const auto places = order(1000, 1, random_stream::training_samples, 2, 3);
  CHECK(std::equal(begin.begin(), begin.end(), places.begin()));
}
