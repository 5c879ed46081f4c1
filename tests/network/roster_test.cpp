#include "network/roster.hpp"

#include <doctest/doctest.h>

using namespace rubato;

using list = std::vector<worker_id>;

TEST_CASE("nodes get the lowest workers that are free, each worker once") {
  roster workers(5);
  CHECK(workers.take(2, {}) == list{0, 1});
  CHECK(workers.take(2, {}) == list{2, 3});
  CHECK(workers.take(2, {}) == list{4});
  CHECK(workers.take(2, {}).empty());
  workers.give_back({1, 3});
  CHECK(workers.free() == 2);
  CHECK(workers.take(9, {}) == list{1, 3});
}

TEST_CASE("a node that comes back gets the workers that it had, as far as they are free") {
  roster workers(6);
  workers.take(2, {});
  CHECK(workers.take(2, {5, 4}) == list{4, 5});
  workers.give_back({4, 5});
  CHECK(workers.take(3, {5, 0}) == list{2, 3, 5});
  // What is not there, or twice, does no harm.
  CHECK(workers.take(3, {4, 4, 99}) == list{4});
}
