#include "data/gaussian_mixtures.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "config/error.hpp"

using doctest::Approx;
using rubato::batch;
using rubato::config;
using rubato::gaussian_mixtures;

namespace {

/// 201 points in each of 6 clusters; 4 shards of 301, of which 43 batches are an epoch; 2 points
/// are left over.
config small_config() {
  config c;
  c.data.kind = "gaussian-mixtures";
  c.data.dimension = 16;
  c.data.clusters = 6;
  c.data.classes = 3;
  c.data.noise = 0.5;
  c.data.points = 1207;
  c.data.shards = 4;
  c.data.batch_size = 7;
  c.evaluate.batches = 4;
  return c;
}

constexpr std::uint64_t epoch = 43;

/// The same clusters and orders, but every point is the centre of its cluster.
config without_noise(config c) {
  c.data.noise = 0.0;
  return c;
}

using coordinates = std::vector<float>;

struct point {
  coordinates at;
  std::int32_t label = 0;

  auto operator<=>(const point&) const = default;
};

std::vector<point> points_of(const std::vector<batch>& batches) {
  std::vector<point> result;
  for (const auto& b : batches) {
    REQUIRE(b.tokens.empty());
    REQUIRE(b.labels.size() == static_cast<std::size_t>(b.examples));
    REQUIRE(b.features.size() == static_cast<std::size_t>(b.examples * b.length));
    for (std::int64_t i = 0; i < b.examples; ++i) {
      const auto row = b.features.begin() + i * b.length;
      result.push_back({coordinates(row, row + b.length), b.labels[i]});
    }
  }
  return result;
}

/// What training goes through in `count` batches from a position on.
std::vector<point> trained_on(const gaussian_mixtures& data, std::size_t shard,
                              std::uint64_t position = 0, std::uint64_t count = epoch) {
  std::vector<batch> batches;
  for (auto p = position; p < position + count; ++p) {
    batches.push_back(data.training_batch(shard, p));
  }
  return points_of(batches);
}

/// An epoch of each shard, one after the other.
std::vector<point> all_trained_on(const gaussian_mixtures& data) {
  std::vector<point> result;
  for (std::size_t shard = 0; shard < data.shards(); ++shard) {
    const auto points = trained_on(data, shard);
    result.insert(result.end(), points.begin(), points.end());
  }
  return result;
}

std::vector<point> all_held_out(const gaussian_mixtures& data) {
  std::vector<point> result;
  for (std::size_t shard = 0; shard < data.shards(); ++shard) {
    const auto points = points_of(data.held_out(shard));
    result.insert(result.end(), points.begin(), points.end());
  }
  return result;
}

std::set<point> distinct(const std::vector<point>& points) {
  return {points.begin(), points.end()};
}

std::map<point, int> counted(const std::vector<point>& points) {
  std::map<point, int> counts;
  for (const auto& p : points) ++counts[p];
  return counts;
}

std::string error_of(const config& c) {
  try {
    const gaussian_mixtures data(c);
  } catch (const rubato::usage_error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("centres have length 1 and point anywhere") {
  auto c = without_noise(small_config());
  c.data.clusters = 300;
  c.data.batch_size = 300;
  c.evaluate.batches = 1;
  const gaussian_mixtures data(c);
  const auto centres = points_of(data.held_out(0));
  CHECK(distinct(centres).size() == 300);
  coordinates sum(16, 0.0F);
  for (const auto& centre : centres) {
    double squares = 0;
    for (std::size_t i = 0; i < sum.size(); ++i) {
      squares += static_cast<double>(centre.at[i]) * centre.at[i];
      sum[i] += centre.at[i];
    }
    CHECK(squares == Approx(1).epsilon(1e-6));
  }
  // A coordinate of a random direction has the variance 1/16.
  for (const float x : sum) CHECK(std::abs(x) < 4 * std::sqrt(300.0 / 16));
}

TEST_CASE("every cluster has equally many points, and classes are blocks of clusters") {
  auto c = without_noise(small_config());
  c.data.shards = 1;
  c.data.batch_size = 1206;
  const gaussian_mixtures data(c);
  const auto clusters = counted(trained_on(data, 0, 0, 1));
  CHECK(clusters.size() == 6);
  for (const auto& [centre, count] : clusters) CHECK(count == 201);

  // Held-out points come from the clusters in turn, and so show them in order.
  const auto in_order = points_of(data.held_out(0));
  for (std::size_t i = 0; i < in_order.size(); ++i) {
    CHECK(clusters.count(in_order[i]) == 1);
    CHECK(in_order[i].label == static_cast<std::int32_t>(i % 6 / 2));
    CHECK(in_order[i] == in_order[i % 6]);
  }
  CHECK(data.shape().features == 16);
  CHECK(data.shape().classes == 3);
}

TEST_CASE("points lie around their centre with the noise asked for, in every coordinate") {
  const auto c = small_config();
  const auto points = all_trained_on(gaussian_mixtures(c));
  const auto centres = all_trained_on(gaussian_mixtures(without_noise(c)));
  REQUIRE(points.size() == 4 * 301);
  struct sums {
    double first = 0;
    double second = 0;
    int count = 0;
  };
  std::map<std::pair<point, std::size_t>, sums> of_coordinate;
  double squares = 0;
  for (std::size_t n = 0; n < points.size(); ++n) {
    CHECK(points[n].label == centres[n].label);
    for (std::size_t i = 0; i < 16; ++i) {
      const double noise = static_cast<double>(points[n].at[i]) - centres[n].at[i];
      auto& s = of_coordinate[{centres[n], i}];
      s.first += noise;
      s.second += noise * noise;
      ++s.count;
      squares += noise * noise;
    }
  }
  CHECK(of_coordinate.size() == 6 * 16);
  // Bounds of four and a half standard deviations, for there are 96 of each.
  for (const auto& [place, s] : of_coordinate) {
    const double n = s.count;
    CHECK(std::abs(s.first / n) < 4.5 * 0.5 / std::sqrt(n));
    CHECK(std::abs(s.second / n / 0.25 - 1) < 4.5 * std::sqrt(2 / n));
  }
  const double n = 16.0 * static_cast<double>(points.size());
  CHECK(squares / n / 0.25 == Approx(1).epsilon(4 * std::sqrt(2 / n)));
}

TEST_CASE("shards are equal and share out the points, mixed") {
  const auto c = small_config();
  const gaussian_mixtures data(c);
  REQUIRE(data.shards() == 4);
  std::set<point> seen;
  for (std::size_t shard = 0; shard < 4; ++shard) {
    CHECK(data.shard_size(shard) == 301);
    CHECK(data.info(shard).training_size == 301);
    const auto points = trained_on(data, shard);
    seen.insert(points.begin(), points.end());
    int of_class[3] = {};
    for (const auto& p : points) ++of_class[p.label];
    // 100 of each expected, give or take 7.
    for (const int count : of_class) CHECK(std::abs(count - 100) < 35);
  }
  CHECK(seen.size() == 4 * 301);

  auto undivided = c;
  undivided.data.shards = 1;
  undivided.data.batch_size = 1206;
  const auto all = distinct(trained_on(gaussian_mixtures(undivided), 0, 0, 1));
  CHECK(all.size() == 1206);
  CHECK(std::includes(all.begin(), all.end(), seen.begin(), seen.end()));
}

TEST_CASE("an epoch visits each point of a shard once, and epochs differ in order") {
  const gaussian_mixtures data(small_config());
  const auto first = trained_on(data, 2);
  const auto second = trained_on(data, 2, epoch);
  CHECK(first != second);
  CHECK(distinct(first).size() == 301);
  CHECK(distinct(first) == distinct(second));
  CHECK(trained_on(data, 1, 0, 1) != trained_on(data, 2, 0, 1));

  // 300 batches of 301 rows: every point comes 300 times, wherever epochs meet.
  auto c = small_config();
  c.data.batch_size = 300;
  for (const auto& [p, count] : counted(trained_on(gaussian_mixtures(c), 2, 0, 301))) {
    CHECK(count == 300);
  }
}

TEST_CASE("a batch of points is a function of its position, in any order and from any thread") {
  const gaussian_mixtures data(small_config());
  constexpr std::uint64_t far = std::uint64_t{1} << 40;
  const auto b = data.training_batch(1, 5);
  CHECK(b.examples == 7);
  CHECK(b.length == 16);
  CHECK(data.tokens_per_batch() == 7);
  const auto near_by = trained_on(data, 1, 0, 100);
  const auto far_off = trained_on(data, 1, far, 100);
  CHECK(near_by != far_off);
  std::vector<std::vector<point>> results(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back([&, t] { results[t] = trained_on(data, 1, t % 2 == 0 ? far : 0, 100); });
  }
  for (auto& thread : threads) thread.join();
  for (std::size_t t = 0; t < results.size(); ++t) {
    CHECK(results[t] == (t % 2 == 0 ? far_off : near_by));
  }
}

TEST_CASE("the points have the same bits on any number of threads") {
  auto c = small_config();
  for (const std::string on : {"held-out", "training"}) {
    c.evaluate.on = on;
    const gaussian_mixtures one(c, 1);
    for (const std::size_t threads : {0, 2, 7, 150}) {
      CAPTURE(threads);
      const gaussian_mixtures many(c, threads);
      CHECK(all_trained_on(one) == all_trained_on(many));
      CHECK(all_held_out(one) == all_held_out(many));
    }
  }
}

TEST_CASE("the points have the same bits everywhere and for ever") {
  const gaussian_mixtures data(small_config());
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  const auto mix = [&](std::uint32_t word) { hash = (hash ^ word) * 0x100000001b3ULL; };
  for (const auto& points : {all_trained_on(data), all_held_out(data)}) {
    for (const auto& p : points) {
      mix(static_cast<std::uint32_t>(p.label));
      for (const float x : p.at) mix(std::bit_cast<std::uint32_t>(x));
    }
  }
  // A constant: another value means that no earlier result can be repeated.
  CHECK(hash == 1544392280248340805ULL);
}

TEST_CASE("runs with different seeds share points, shards and held-out points but not the order") {
  auto c = small_config();
  const gaussian_mixtures one(c);
  c.run.seed = 2;
  const gaussian_mixtures two(c);
  for (std::size_t shard = 0; shard < 4; ++shard) {
    CHECK(trained_on(one, shard) != trained_on(two, shard));
    CHECK(distinct(trained_on(one, shard)) == distinct(trained_on(two, shard)));
  }
  CHECK(all_held_out(one) == all_held_out(two));
}

TEST_CASE("held-out points are never trained on, and of all clusters alike") {
  const auto c = small_config();
  const gaussian_mixtures data(c);
  const auto held_out = distinct(all_held_out(data));
  CHECK(held_out.size() == 4 * 4 * 7);
  for (const auto& p : all_trained_on(data)) CHECK(held_out.count(p) == 0);

  const gaussian_mixtures centres(without_noise(c));
  for (std::size_t shard = 0; shard < 4; ++shard) {
    CHECK(data.held_out(shard).size() == 4);
    CHECK(data.info(shard).held_out_size == 28);
    const auto counts = counted(points_of(centres.held_out(shard)));
    CHECK(counts.size() == 6);
    for (const auto& [centre, count] : counts) CHECK((count == 4 || count == 5));
  }
  for (const auto& [centre, count] : counted(all_held_out(centres))) {
    CHECK((count == 18 || count == 19));
  }
}

TEST_CASE("evaluation on training points takes some of the shard, at most all of it") {
  auto c = small_config();
  c.evaluate.on = "training";
  for (const std::int64_t batches : {4, 1000}) {
    c.evaluate.batches = batches;
    const gaussian_mixtures data(c);
    for (std::size_t shard = 0; shard < 4; ++shard) {
      const auto evaluated = points_of(data.held_out(shard));
      const auto trained = distinct(trained_on(data, shard));
      CHECK(evaluated.size() == (batches == 4 ? 28 : 301));
      CHECK(distinct(evaluated).size() == evaluated.size());
      for (const auto& p : evaluated) CHECK(trained.count(p) == 1);
      CHECK(data.info(shard).held_out_size == 0);
    }
  }
  // No whole number of batches: the last is smaller.
  c.data.batch_size = 200;
  const gaussian_mixtures data(c);
  REQUIRE(data.held_out(0).size() == 2);
  CHECK(data.held_out(0).back().examples == 101);
}

TEST_CASE("a mixture says what it is") {
  auto c = small_config();
  const auto data = rubato::make_dataset(c);
  CHECK(data->shards() == 4);
  CHECK(data->info(0).name == "mixture 0");
  CHECK(data->info(3).name == "mixture 3");
  CHECK(data->info(0).files == 0);
  CHECK(data->bytes_per_token() == 0.0);
  CHECK(data->baselines().empty());
  c.data.shards = 2;
  CHECK(shard_weights(c, *rubato::make_dataset(c)) == std::vector<double>{0.5, 0.5});
}

TEST_CASE("a mixture that cannot be dealt out is refused") {
  auto c = small_config();
  c.data.clusters = 7;
  CHECK(error_of(c) == "data.clusters = 7 is not a multiple of data.classes = 3");
  c = small_config();
  c.data.points = 11;
  c.data.shards = 8;
  CHECK(error_of(c) ==
        "data.points = 11 makes 1 for each of the 6 clusters, 6 in all, but each of the 8 shards "
        "needs one; set data.points higher or data.shards lower");
  c.data.points = 12;
  CHECK(error_of(c) == "no error");
}
