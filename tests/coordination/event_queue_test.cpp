#include "coordination/event_queue.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

using namespace rubato;
using namespace std::chrono_literals;

namespace {

/// The round that the next event brings in; no other event may be next.
update_id next_arrival(const event_queue& queue) {
  const auto event = queue.next();
  REQUIRE(event.has_value());
  REQUIRE(std::holds_alternative<update_id>(event->what));
  return std::get<update_id>(event->what);
}

}  // namespace

TEST_CASE("arrivals come in the order of time, then worker, then sequence") {
  event_queue queue;
  queue.expect(3s, {1, 1, 0});
  queue.expect(2s, {3, 1, 0});
  queue.expect(3s, {0, 1, 5});
  queue.expect(3s, {0, 1, 4});
  std::vector<update_id> order;
  while (const auto event = queue.next()) {
    order.push_back(next_arrival(queue));
    queue.take();
    CHECK(queue.now() == event->time);
  }
  CHECK(order == std::vector<update_id>{{3, 1, 0}, {0, 1, 4}, {0, 1, 5}, {1, 1, 0}});
  CHECK(queue.now() == 3s);
}

TEST_CASE("at one time arrivals come first, then changes to workers, then the end of the window") {
  event_queue queue;
  queue.plan({{29s, worker_change::kind::leave, 0},
              {29s, worker_change::kind::pace, 3},
              {5s, worker_change::kind::join, 1}});
  queue.expect(29s, {0, 1, 0});
  queue.expect(29s + 1ns, {1, 1, 0});
  queue.set_window_end(29s);
  std::vector<worker_change::kind> kinds;
  const auto take_change = [&] {
    const auto event = queue.next();
    REQUIRE(event.has_value());
    REQUIRE(std::holds_alternative<worker_change>(event->what));
    queue.take();
    return std::get<worker_change>(event->what).what;
  };
  CHECK(take_change() == worker_change::kind::join);
  CHECK(next_arrival(queue) == update_id{0, 1, 0});
  queue.take();
  CHECK(take_change() == worker_change::kind::pace);
  CHECK(take_change() == worker_change::kind::leave);
  CHECK(std::holds_alternative<event_queue::window_ended>(queue.next()->what));
  CHECK(queue.next()->time == 29s);
  queue.take();
  CHECK(next_arrival(queue) == update_id{1, 1, 0});
  queue.take();
  CHECK_FALSE(queue.next().has_value());
}

TEST_CASE("time moves when an event is taken, not when it is looked at") {
  event_queue queue;
  queue.expect(5s, {0, 1, 0});
  CHECK(queue.next()->time == 5s);
  CHECK(queue.now() == 0s);
}

TEST_CASE("a cancelled round does not arrive, and a window's end can be taken back") {
  event_queue queue;
  queue.expect(5s, {0, 1, 0});
  queue.cancel({0, 1, 0});
  queue.cancel({0, 1, 0});
  queue.set_window_end(7s);
  queue.set_window_end(std::nullopt);
  CHECK_FALSE(queue.next().has_value());
  CHECK_THROWS_AS(queue.take(), std::logic_error);
}

TEST_CASE("nothing can be expected in the past") {
  event_queue queue;
  queue.expect(5s, {0, 1, 0});
  queue.take();
  CHECK_THROWS_AS(queue.expect(4s, {0, 1, 1}), std::logic_error);
  queue.expect(5s, {0, 1, 1});
}
