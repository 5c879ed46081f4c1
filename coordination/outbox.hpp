// Holds back what may leave only when what it follows from is durable. Not here: what that is, and
// where it goes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

namespace rubato {

/// First in, first out. One thread at a time.
template <class Item>
class outbox {
 public:
  /// `item` may leave once all records before `record` are durable. These numbers never fall.
  void put(std::uint64_t record, Item item) { waiting_.push_back({record, std::move(item)}); }

  /// All records before this one are durable, and stay so.
  void durable(std::uint64_t before) { durable_before_ = std::max(durable_before_, before); }
  std::uint64_t durable_before() const { return durable_before_; }

  /// The next one that may leave; nothing if it has to wait, or there is none.
  std::optional<Item> take() {
    if (waiting_.empty() || waiting_.front().record > durable_before_) return std::nullopt;
    auto item = std::move(waiting_.front().content);
    waiting_.pop_front();
    return item;
  }

 private:
  struct waiting_item {
    std::uint64_t record;
    Item content;
  };

  std::deque<waiting_item> waiting_;
  std::uint64_t durable_before_ = 0;
};

}  // namespace rubato
