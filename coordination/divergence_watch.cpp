#include "coordination/divergence_watch.hpp"

#include <cmath>

#include "coordination/state_json.hpp"

namespace rubato {

void divergence_watch::evaluating(std::uint64_t version) {
  pending_.push_back({version, 1});
}

void divergence_watch::again() {
  if (!pending_.empty()) {
    pending_.back().counts += 1;
  } else if (doubtful()) {
    fail(1);
  }
}

void divergence_watch::evaluated(double loss) {
  const auto result = pending_.front();
  pending_.pop_front();
  if (std::isfinite(loss)) {
    failed_ = 0;
    last_finite_ = result.version;
  } else {
    fail(result.counts);
  }
}

bool divergence_watch::undecided() const {
  if (after_ == 0 || diverged_) return false;
  std::int64_t worst = failed_;
  for (const auto& evaluation : pending_) worst += evaluation.counts;
  return worst >= after_;
}

void divergence_watch::fail(std::int64_t evaluations) {
  failed_ += evaluations;
  diverged_ = diverged_ || (after_ > 0 && failed_ >= after_);
}

nlohmann::json divergence_watch::state() const {
  auto pending = nlohmann::json::array();
  for (const auto& evaluation : pending_) {
    pending.push_back({{"version", evaluation.version}, {"counts", evaluation.counts}});
  }
  return {{"pending", std::move(pending)},
          {"failed", failed_},
          {"diverged", diverged_},
          {"last_finite", last_finite_}};
}

void divergence_watch::restore(const nlohmann::json& state) {
  pending_.clear();
  for (const auto& saved : state.at("pending")) {
    pending_.push_back(
        {saved.at("version").get<std::uint64_t>(), saved.at("counts").get<std::int64_t>()});
  }
  state.at("failed").get_to(failed_);
  state.at("diverged").get_to(diverged_);
  state.at("last_finite").get_to(last_finite_);
}

}  // namespace rubato
