#include "coordination/shards.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace rubato {

shard_pool::shard_pool(std::vector<double> weights)
    : weights_(std::move(weights)),
      position_(weights_.size()),
      visits_(weights_.size()),
      learned_(weights_.size()) {
  const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  if (weights_.empty() || !(sum > 0.0)) throw std::invalid_argument("shard_pool: no weight");
  for (auto& weight : weights_) weight /= sum;
}

std::vector<double> shard_pool::probabilities() const {
  std::vector<double> result(weights_.size());
  double mass = 0.0;
  for (std::size_t i = 0; i < result.size(); ++i) {
    const double done = learned_sum_ == 0
                            ? 0.0
                            : static_cast<double>(learned_[i]) / static_cast<double>(learned_sum_);
    result[i] = std::max(weights_[i] - done, 0.0);
    mass += result[i];
  }
  // Rounding leaves crumbs where the balance is perfect: below this, nothing is behind.
  if (mass < 1e-12) return weights_;
  for (auto& p : result) p /= mass;
  return result;
}

shard_id shard_pool::draw(random_generator& random) const {
  const auto p = probabilities();
  double u = random.uniform();
  shard_id last = 0;
  for (shard_id i = 0; i < p.size(); ++i) {
    if (p[i] <= 0.0) continue;
    last = i;
    if (u < p[i]) break;
    u -= p[i];
  }
  return last;
}

shard_id shard_pool::draw_least_visited(random_generator& random) const {
  const auto fewest = *std::min_element(visits_.begin(), visits_.end());
  auto nth =
      random.below(static_cast<std::uint64_t>(std::count(visits_.begin(), visits_.end(), fewest)));
  shard_id shard = 0;
  while (visits_[shard] != fewest || nth-- > 0) shard += 1;
  return shard;
}

std::uint64_t shard_pool::reserve(shard_id shard, std::uint32_t steps) {
  visits_[shard] += 1;
  learned_[shard] += steps;
  learned_sum_ += steps;
  return std::exchange(position_[shard], position_[shard] + steps);
}

void shard_pool::refund(shard_id shard, std::uint32_t steps) {
  learned_[shard] -= steps;
  learned_sum_ -= steps;
}

nlohmann::json shard_pool::state() const {
  return {{"position", position_}, {"visits", visits_}, {"learned", learned_}};
}

void shard_pool::restore(const nlohmann::json& state) {
  for (auto [name, counts] : {std::pair{"position", &position_}, std::pair{"visits", &visits_},
                              std::pair{"learned", &learned_}}) {
    state.at(name).get_to(*counts);
    if (counts->size() != size()) throw std::invalid_argument("shard_pool: other shards");
  }
  learned_sum_ = std::accumulate(learned_.begin(), learned_.end(), std::uint64_t{0});
}

}  // namespace rubato
