#include "coordination/shards.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

using namespace rubato;

TEST_CASE("a shard is drawn in proportion to what it lacks of its share (Eq 2)") {
  shard_pool pool({2.0, 1.0, 1.0});  // shares 1/2, 1/4, 1/4
  pool.reserve(0, 30);
  pool.reserve(1, 60);
  pool.reserve(2, 10);
  // 0.5 - 0.3 = 0.2, max(0.25 - 0.6, 0) = 0, 0.25 - 0.1 = 0.15
  const auto p = pool.probabilities();
  CHECK(p[0] == doctest::Approx(0.2 / 0.35));
  CHECK(p[1] == 0.0);
  CHECK(p[2] == doctest::Approx(0.15 / 0.35));
}

TEST_CASE("with nothing learned, or in perfect balance, shards are drawn by their share") {
  shard_pool pool({3.0, 1.0});
  CHECK(pool.probabilities() == std::vector<double>{0.75, 0.25});
  pool.reserve(0, 75);
  pool.reserve(1, 25);
  CHECK(pool.probabilities() == std::vector<double>{0.75, 0.25});
}

TEST_CASE("work in flight counts, so idle workers draw different shards") {
  shard_pool pool({1.0, 1.0, 1.0, 1.0});
  std::vector<bool> seen(4, false);
  for (std::uint64_t draw = 0; draw < 4; ++draw) {
    random_generator random(1, random_stream::shard_choice, {draw});
    const auto shard = pool.draw(random);
    CHECK_FALSE(seen[shard]);
    seen[shard] = true;
    pool.reserve(shard, 50);
  }
}

TEST_CASE("a refund restores a shard's chances but never gives a position out twice") {
  shard_pool pool({1.0, 1.0});
  CHECK(pool.reserve(0, 50) == 0);
  CHECK(pool.probabilities()[0] == 0.0);
  pool.refund(0, 50);
  CHECK(pool.probabilities()[0] == 0.5);
  CHECK(pool.reserve(0, 20) == 50);
  CHECK(pool.reserve(0, 1) == 70);
  CHECK(pool.reserve(1, 1) == 0);
}

TEST_CASE("draws follow the probabilities") {
  shard_pool pool({1.0, 2.0, 7.0});
  std::vector<int> count(3, 0);
  for (std::uint64_t draw = 0; draw < 20'000; ++draw) {
    random_generator random(7, random_stream::shard_choice, {draw});
    count[pool.draw(random)] += 1;
  }
  CHECK(count[0] == doctest::Approx(2000).epsilon(0.1));
  CHECK(count[1] == doctest::Approx(4000).epsilon(0.1));
  CHECK(count[2] == doctest::Approx(14000).epsilon(0.05));
}

TEST_CASE("a pool without weight is refused") {
  CHECK_THROWS_AS(shard_pool({}), std::invalid_argument);
  CHECK_THROWS_AS(shard_pool({0.0, 0.0}), std::invalid_argument);
}

TEST_CASE("the least visited shard is drawn, each of several as likely, however long the visits") {
  shard_pool shards({1.0, 1.0, 1.0, 1.0});
  shards.reserve(1, 1000);
  random_generator random(1, random_stream::test);
  std::vector<int> drawn(4);
  for (int i = 0; i < 3000; ++i) drawn[shards.draw_least_visited(random)] += 1;
  CHECK(drawn[1] == 0);
  for (const shard_id shard : {0u, 2u, 3u})
    CHECK(drawn[shard] == doctest::Approx(1000).epsilon(0.1));
  for (const shard_id shard : {0u, 2u}) shards.reserve(shard, 1);
  CHECK(shards.draw_least_visited(random) == 3);
}
