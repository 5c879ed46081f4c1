#include "bench/random_tokens.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace rubato;

TEST_CASE("random tokens are of the vocabulary, and a function of seed and position") {
  config c;
  c.model.sequence_length = 50;
  c.data.batch_size = 20;
  const random_tokens data(c, 7);
  CHECK(data.shape().classes == 7);
  const auto first = data.training_batch(0, 3);
  CHECK(first.tokens.size() == 20 * 51);
  CHECK(std::set<std::int32_t>(first.tokens.begin(), first.tokens.end()) ==
        std::set<std::int32_t>{0, 1, 2, 3, 4, 5, 6});
  CHECK(data.training_batch(0, 3).tokens == first.tokens);
  CHECK(data.training_batch(0, 4).tokens != first.tokens);
  CHECK(data.held_out(0).front().tokens != first.tokens);
  c.run.seed = 2;
  CHECK(random_tokens(c, 7).training_batch(0, 3).tokens != first.tokens);
}
