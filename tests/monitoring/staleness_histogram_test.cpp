#include "monitoring/staleness_histogram.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "config/random.hpp"

using namespace rubato;

TEST_CASE("a histogram agrees with sorting all values") {
  random_generator random(7, random_stream::test);
  for (const std::size_t size : {1, 2, 3, 99, 100, 101, 1000}) {
    staleness_histogram histogram;
    std::vector<std::uint64_t> values;
    for (std::size_t i = 0; i < size; ++i) {
      values.push_back(random.below(20) * random.below(20));
      histogram.add(values.back());
    }
    std::sort(values.begin(), values.end());
    // Nearest rank: the value at position ceil(p/100 * n), counted from 1.
    const auto nearest_rank = [&](std::size_t percent) {
      std::size_t rank = percent * size / 100;
      if (rank * 100 < percent * size) ++rank;
      return values[rank - 1];
    };
    const double sum = static_cast<double>(std::accumulate(values.begin(), values.end(), 0ULL));

    CAPTURE(size);
    const staleness_summary summary = histogram.summary();
    CHECK(histogram.total() == size);
    CHECK(summary.mean == doctest::Approx(sum / static_cast<double>(size)));
    CHECK(summary.p50 == nearest_rank(50));
    CHECK(summary.p99 == nearest_rank(99));
    CHECK(summary.max == values.back());
  }
}

TEST_CASE("one late update in a hundred shows in the maximum, not in the 99th percentile") {
  staleness_histogram histogram;
  for (int i = 0; i < 99; ++i) histogram.add(1);
  histogram.add(50);
  CHECK(histogram.summary().p99 == 1);
  CHECK(histogram.summary().max == 50);
  histogram.add(50);
  CHECK(histogram.summary().p99 == 50);
}

TEST_CASE("a huge staleness costs no memory") {
  staleness_histogram histogram;
  histogram.add(1'000'000'000'000);
  CHECK(histogram.percentile(50) == 1'000'000'000'000);
}

TEST_CASE("an empty histogram is all zeros") {
  const staleness_summary summary = staleness_histogram{}.summary();
  CHECK(summary.mean == 0.0);
  CHECK(summary.p50 == 0);
  CHECK(summary.max == 0);
}

TEST_CASE("a histogram is saved and restored whole") {
  staleness_histogram histogram;
  for (const std::uint64_t s : {0, 3, 3, 7, 1000000}) histogram.add(s);
  staleness_histogram restored;
  restored.add(5);  // must leave no trace
  restored.restore(nlohmann::json::from_cbor(nlohmann::json::to_cbor(histogram.state())));
  CHECK(restored.total() == 5);
  CHECK(restored.mean() == histogram.mean());
  CHECK(restored.percentile(60) == 3);
  CHECK(restored.percentile(100) == 1000000);
}
