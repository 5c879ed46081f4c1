#include "coordination/event_queue.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "coordination/state_json.hpp"

namespace rubato {

void event_queue::plan(std::vector<worker_change> changes) {
  changes_ = std::move(changes);
  std::sort(changes_.begin(), changes_.end());
}

void event_queue::expect(run_time time, const update_id& id) {
  if (time < now_) throw std::logic_error("event_queue: an arrival in the past");
  arrivals_.emplace(time, id);
  arrival_times_.emplace(id, time);
}

void event_queue::cancel(const update_id& id) {
  const auto it = arrival_times_.find(id);
  if (it == arrival_times_.end()) return;
  arrivals_.erase({it->second, id});
  arrival_times_.erase(it);
}

std::optional<event_queue::event> event_queue::next() const {
  std::optional<event> first;
  const auto consider = [&first](run_time time, auto what) {
    if (!first || time < first->time) first = event{time, what};
  };
  if (!arrivals_.empty()) consider(arrivals_.begin()->first, arrivals_.begin()->second);
  if (changes_taken_ < changes_.size()) {
    consider(changes_[changes_taken_].at, changes_[changes_taken_]);
  }
  if (window_end_) consider(*window_end_, window_ended{});
  return first;
}

void event_queue::take() {
  const auto event = next();
  if (!event) throw std::logic_error("event_queue: nothing to take");
  now_ = event->time;
  if (const auto* id = std::get_if<update_id>(&event->what)) {
    cancel(*id);
  } else if (std::holds_alternative<worker_change>(event->what)) {
    changes_taken_ += 1;
  } else {
    window_end_.reset();
  }
}

nlohmann::json event_queue::state() const {
  return {{"now", now_}, {"changes_taken", changes_taken_}};
}

void event_queue::restore(const nlohmann::json& state) {
  state.at("now").get_to(now_);
  state.at("changes_taken").get_to(changes_taken_);
  if (changes_taken_ > changes_.size()) {
    throw std::invalid_argument("event_queue: more changes were taken than are planned");
  }
}

}  // namespace rubato
