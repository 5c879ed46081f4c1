#include "network/shipping.hpp"

#include <algorithm>
#include <utility>

namespace rubato {

std::vector<shipping::action> shipping::add(const update_id& round, const cargo& what) {
  if (current_ && !current_->cancelling && current_->what.owner == what.owner) {
    current_->rounds.insert(round);
    return {announce{round, current_->transfer}};
  }
  const auto same = std::find_if(waiting_.begin(), waiting_.end(), [&](const parcel& waiting) {
    return waiting.what.owner == what.owner;
  });
  if (same != waiting_.end()) {
    same->rounds.insert(round);
    return {};
  }
  waiting_.push_back({what, {round}});
  return next();
}

std::vector<shipping::action> shipping::settled(const update_id& round) {
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    if (it->rounds.erase(round) == 0) continue;
    if (it->rounds.empty()) waiting_.erase(it);
    return {};
  }
  if (!current_ || current_->rounds.erase(round) == 0) return {};
  if (!current_->rounds.empty() || std::exchange(current_->cancelling, true)) return {};
  return {cancel{}};
}

std::vector<shipping::action> shipping::delivered() {
  last_ = current_->what.owner;
  last_transfer_ = current_->transfer;
  current_.reset();
  return next();
}

std::vector<shipping::action> shipping::cancelled() {
  current_.reset();
  return next();
}

std::vector<shipping::action> shipping::next() {
  std::vector<action> out;
  while (!current_ && !waiting_.empty()) {
    parcel first = std::move(waiting_.front());
    waiting_.pop_front();
    const bool there = last_.lock() == first.what.owner;
    first.transfer = there ? last_transfer_ : ++transfers_;
    for (const auto& round : first.rounds) out.push_back(announce{round, first.transfer});
    if (there) continue;
    out.push_back(start{first.transfer, first.what});
    current_ = std::move(first);
  }
  return out;
}

}  // namespace rubato
