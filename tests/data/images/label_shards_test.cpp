#include "data/images/label_shards.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

using namespace rubato;

namespace {

std::vector<std::int32_t> cyclic_labels(std::size_t count, std::int32_t classes) {
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < count; ++i) {
    labels.push_back(static_cast<std::int32_t>(i) % classes);
  }
  return labels;
}

/// Each example is in exactly one list.
bool shares_out_all(const shard_lists& lists, std::size_t count) {
  std::multiset<std::uint32_t> seen;
  for (const auto& list : lists) seen.insert(list.begin(), list.end());
  if (seen.size() != count) return false;
  std::uint32_t next = 0;
  return std::all_of(seen.begin(), seen.end(), [&](std::uint32_t i) { return i == next++; });
}

/// The share of each shard in each class, [class][shard].
std::vector<std::vector<double>> shares(const shard_lists& lists,
                                        const std::vector<std::int32_t>& labels,
                                        std::size_t classes) {
  std::vector<std::vector<double>> result(classes, std::vector<double>(lists.size(), 0.0));
  std::vector<double> counts(classes, 0.0);
  for (const auto label : labels) ++counts[static_cast<std::size_t>(label)];
  for (std::size_t s = 0; s < lists.size(); ++s) {
    for (const auto i : lists[s]) {
      const auto k = static_cast<std::size_t>(labels[i]);
      result[k][s] += 1.0 / counts[k];
    }
  }
  return result;
}

}  // namespace

TEST_CASE("an even split has everybody once, sizes one apart at most, and mixed") {
  const auto lists = split_evenly(1003, 4, 0);
  CHECK(shares_out_all(lists, 1003));
  for (const auto& list : lists) {
    CHECK((list.size() == 250 || list.size() == 251));
    // A quarter of each shard comes from each quarter of the whole: 63 expected, give or take 7.
    CHECK(std::abs(static_cast<int>(
                       std::count_if(list.begin(), list.end(), [](auto i) { return i < 251; })) -
                   63) < 30);
  }
  CHECK(split_evenly(1003, 4, 0) == lists);
  CHECK(split_evenly(1003, 4, 1) != lists);
}

TEST_CASE("a split by label has everybody once, and is always the same") {
  const auto labels = cyclic_labels(2000, 10);
  for (const double concentration : {1e-9, 0.1, 1.0, 1e6}) {
    CAPTURE(concentration);
    const auto lists = split_by_label(labels, 10, 7, concentration, 16);
    CHECK(shares_out_all(lists, 2000));
    CHECK(split_by_label(labels, 10, 7, concentration, 16) == lists);
    for (const auto& list : lists) CHECK(list.size() >= 16);
  }
}

TEST_CASE("the shares of a class have the mean and variance of the Dirichlet distribution") {
  constexpr std::size_t classes = 400;
  constexpr std::size_t shards = 5;
  const auto labels = cyclic_labels(classes * 500, classes);
  for (const double concentration : {0.1, 0.5, 1.0, 10.0}) {
    CAPTURE(concentration);
    const auto result =
        shares(split_by_label(labels, classes, shards, concentration, 0), labels, classes);
    const double mean = 1.0 / shards;
    const double variance = mean * (1.0 - mean) / (concentration * shards + 1.0);
    double squares = 0;
    for (std::size_t s = 0; s < shards; ++s) {
      double sum = 0;
      for (const auto& of_class : result) {
        sum += of_class[s];
        squares += (of_class[s] - mean) * (of_class[s] - mean);
      }
      // Four standard errors.
      CHECK(std::abs(sum / classes - mean) < 4.0 * std::sqrt(variance / classes));
    }
    // The fourth moment is at most that of a share that is all or nothing.
    CHECK(squares / (classes * shards) == doctest::Approx(variance).epsilon(0.15));
  }
}

TEST_CASE("with a concentration of 1 a share of two shards is uniform") {
  constexpr std::size_t classes = 1000;
  const auto labels = cyclic_labels(classes * 200, classes);
  const auto result = shares(split_by_label(labels, classes, 2, 1.0, 0), labels, classes);
  int in_tenth[10] = {};
  for (const auto& of_class : result) {
    ++in_tenth[std::min(9, static_cast<int>(of_class[0] * 10))];
  }
  for (const int count : in_tenth) CHECK(std::abs(count - 100) < 45);
}

TEST_CASE("hardly any concentration gives each class to one shard, very much makes all alike") {
  const auto labels = cyclic_labels(10000, 10);
  for (const auto& of_class : shares(split_by_label(labels, 10, 4, 1e-6, 0), labels, 10)) {
    CHECK(*std::max_element(of_class.begin(), of_class.end()) == doctest::Approx(1.0));
  }
  for (const auto& of_class : shares(split_by_label(labels, 10, 4, 1e6, 0), labels, 10)) {
    for (const double share : of_class) CHECK(std::abs(share - 0.25) < 0.003);
  }
}

TEST_CASE("a shard that got too few is filled up from the largest") {
  // One class, and in effect one shard that gets all of it.
  const std::vector<std::int32_t> labels(100, 0);
  const auto bare = split_by_label(labels, 1, 4, 1e-6, 0);
  const auto sizes = [](const shard_lists& lists) {
    std::multiset<std::size_t> result;
    for (const auto& list : lists) result.insert(list.size());
    return result;
  };
  CHECK(sizes(bare) == std::multiset<std::size_t>{0, 0, 0, 100});
  const auto filled = split_by_label(labels, 1, 4, 1e-6, 16);
  CHECK(sizes(filled) == std::multiset<std::size_t>{16, 16, 16, 52});
  CHECK(shares_out_all(filled, 100));
  // As much as there is.
  CHECK(sizes(split_by_label(labels, 1, 4, 1e-6, 25)) ==
        std::multiset<std::size_t>{25, 25, 25, 25});
}

TEST_CASE("a class without examples is no class of anybody") {
  const std::vector<std::int32_t> labels(50, 2);
  CHECK(shares_out_all(split_by_label(labels, 5, 3, 0.5, 1), 50));
}
