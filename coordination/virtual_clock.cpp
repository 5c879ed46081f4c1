#include "coordination/virtual_clock.hpp"

#include <stdexcept>

namespace rubato {

void virtual_clock::expect(run_time time, const update_id& id) {
  if (time < now_) throw std::logic_error("virtual_clock: an arrival in the past");
  arrivals_.insert({time, id});
}

void virtual_clock::cancel(run_time time, const update_id& id) {
  arrivals_.erase({time, id});
}

std::optional<virtual_clock::event> virtual_clock::next() const {
  if (!arrivals_.empty() && (!window_end_ || arrivals_.begin()->time <= *window_end_)) {
    return event{arrivals_.begin()->time, arrivals_.begin()->id};
  }
  if (window_end_) return event{*window_end_, std::nullopt};
  return std::nullopt;
}

void virtual_clock::take() {
  const auto event = next();
  if (!event) throw std::logic_error("virtual_clock: nothing to take");
  now_ = event->time;
  if (event->arrival) {
    arrivals_.erase(arrivals_.begin());
  } else {
    window_end_.reset();
  }
}

}  // namespace rubato
