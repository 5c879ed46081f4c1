#include "coordination/virtual_clock.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

using namespace rubato;
using namespace std::chrono_literals;

TEST_CASE("events come in the order of time, then worker, then sequence") {
  virtual_clock clock;
  clock.expect(3s, {1, 1, 0});
  clock.expect(2s, {3, 1, 0});
  clock.expect(3s, {0, 1, 5});
  clock.expect(3s, {0, 1, 4});
  std::vector<update_id> order;
  while (const auto event = clock.next()) {
    order.push_back(*event->arrival);
    clock.take();
    CHECK(clock.now() == event->time);
  }
  CHECK(order == std::vector<update_id>{{3, 1, 0}, {0, 1, 4}, {0, 1, 5}, {1, 1, 0}});
  CHECK(clock.now() == 3s);
}

TEST_CASE("an arrival at the very end of the window comes before the end") {
  virtual_clock clock;
  clock.expect(29s, {0, 1, 0});
  clock.expect(29s + 1ns, {1, 1, 0});
  clock.set_window_end(29s);
  CHECK(clock.next()->arrival == update_id{0, 1, 0});
  clock.take();
  CHECK_FALSE(clock.next()->arrival.has_value());
  CHECK(clock.next()->time == 29s);
  clock.take();
  CHECK(clock.next()->arrival == update_id{1, 1, 0});
}

TEST_CASE("time moves when an event is taken, not when it is looked at") {
  virtual_clock clock;
  clock.expect(5s, {0, 1, 0});
  CHECK(clock.next()->time == 5s);
  CHECK(clock.now() == 0s);
}

TEST_CASE("a cancelled round does not arrive, and a window's end can be taken back") {
  virtual_clock clock;
  clock.expect(5s, {0, 1, 0});
  clock.cancel(5s, {0, 1, 0});
  clock.set_window_end(7s);
  clock.set_window_end(std::nullopt);
  CHECK_FALSE(clock.next().has_value());
  CHECK_THROWS_AS(clock.take(), std::logic_error);
}

TEST_CASE("nothing can be expected in the past") {
  virtual_clock clock;
  clock.expect(5s, {0, 1, 0});
  clock.take();
  CHECK_THROWS_AS(clock.expect(4s, {0, 1, 1}), std::logic_error);
  clock.expect(5s, {0, 1, 1});
}
