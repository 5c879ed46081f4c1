#include "coordination/grouping.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace rubato {

grouping::grouping(const config& c) : size_(c.outer.group_size), rounds_(c.outer.group_rounds) {
  if (active()) groups_.resize(static_cast<std::size_t>(c.workers.count / size_));
}

void grouping::arrived(worker_id worker, std::uint32_t steps) {
  at(worker).arrived += 1;
  at(worker).local_steps += steps;
}

std::vector<group_id> grouping::due() const {
  std::vector<group_id> result;
  for (group_id i = 0; i < groups_.size(); ++i) {
    const auto& g = groups_[i];
    if (g.arrived > 0 && g.outstanding == 0 && g.rounds + 1 < rounds_) result.push_back(i);
  }
  return result;
}

void grouping::next_round(group_id group, bool averaged) {
  groups_[group].arrived = 0;
  groups_[group].rounds += averaged ? 1 : 0;
}

void grouping::synchronised() {
  for (auto& g : groups_) {
    g.arrived = 0;
    g.rounds = 0;
    g.local_steps = 0;
  }
}

nlohmann::json grouping::state() const {
  auto result = nlohmann::json::array();
  for (const auto& g : groups_) {
    result.push_back({g.outstanding, g.arrived, g.rounds, g.local_steps});
  }
  return result;
}

void grouping::restore(const nlohmann::json& state) {
  if (state.size() != groups_.size()) throw std::invalid_argument("grouping: other groups");
  for (group_id i = 0; i < groups_.size(); ++i) {
    auto& g = groups_[i];
    state.at(i).at(0).get_to(g.outstanding);
    state.at(i).at(1).get_to(g.arrived);
    state.at(i).at(2).get_to(g.rounds);
    state.at(i).at(3).get_to(g.local_steps);
  }
}

}  // namespace rubato
