#include "data/batch_pool.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>

using namespace rubato;

namespace {

/// Batches of one token, 1000 * shard + position, that take the longer the earlier they are.
class slow_start final : public dataset {
 public:
  std::size_t shards() const override { return 9; }
  shard_info info(std::size_t /*shard*/) const override { return {}; }
  std::uint64_t shard_size(std::size_t /*shard*/) const override { return 1; }
  data_shape shape() const override { return {}; }
  double bytes_per_token() const override { return 0; }
  std::int64_t tokens_per_batch() const override { return 1; }
  batch training_batch(std::size_t shard, std::uint64_t position) const override {
    ++made;
    if (shard == 8) throw std::runtime_error("no such shard");
    std::this_thread::sleep_for(std::chrono::milliseconds(position < 8 ? 8 - position : 0));
    batch b;
    b.tokens = {static_cast<std::int32_t>(1000 * shard + position)};
    return b;
  }
  const std::vector<batch>& held_out(std::size_t /*shard*/) const override { return none_; }
  std::vector<baseline> baselines() const override { return {}; }

  mutable std::atomic<int> made = 0;

 private:
  std::vector<batch> none_;
};

/// Receives batches and waits for them.
class basket {
 public:
  batch_pool::receiver receiver() {
    return [this](std::shared_ptr<const batch> b) {
      const std::lock_guard lock(mutex_);
      content_.push_back(b->tokens.at(0));
      changed_.notify_all();
    };
  }
  std::vector<std::int32_t> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return content_.size() >= count; });
    return content_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::int32_t> content_;
};

std::vector<std::int32_t> numbers(std::int32_t first, std::int32_t count) {
  std::vector<std::int32_t> result;
  for (std::int32_t i = 0; i < count; ++i) result.push_back(first + i);
  return result;
}

void nothing() {}

}  // namespace

TEST_CASE("each stream's batches come in order, on any number of threads") {
  for (const std::size_t threads : {1, 2, 7}) {
    CAPTURE(threads);
    basket a, b;
    batch_pool pool(std::make_shared<slow_start>(), threads, nothing);
    const auto first = pool.open(1, 0, 20, a.receiver());
    const auto second = pool.open(2, 5, 20, b.receiver());
    for (int i = 0; i < 10; ++i) {
      pool.make(first, 2);
      pool.make(second, 2);
    }
    CHECK(a.wait_for(20) == numbers(1000, 20));
    CHECK(b.wait_for(20) == numbers(2005, 20));
  }
}

TEST_CASE("no batch is made that was not asked for, and none beyond the stream's end") {
  for (const std::size_t threads : {1, 3}) {
    CAPTURE(threads);
    const auto data = std::make_shared<slow_start>();
    basket a;
    {
      batch_pool pool(data, threads, nothing);
      const auto s = pool.open(1, 10, 5, a.receiver());
      CHECK(data->made == 0);
      pool.make(s, 2);
      CHECK(a.wait_for(2) == numbers(1010, 2));
      CHECK(data->made == 2);
      pool.make(s, 100);
      CHECK(a.wait_for(5) == numbers(1010, 5));
      pool.make(s, 100);
    }
    CHECK(data->made == 5);
  }
}

TEST_CASE("a closed stream is quiet, and others go on") {
  const auto data = std::make_shared<slow_start>();
  basket b;
  std::atomic<bool> closed = false;
  std::atomic<bool> late = false;
  batch_pool pool(data, 2, nothing);
  const auto s = pool.open(1, 0, 50, [&](const auto& /*made*/) { late = late || closed; });
  pool.make(s, 50);
  pool.close(s);
  closed = true;
  pool.make(s, 1);
  const auto other = pool.open(2, 0, 3, b.receiver());
  pool.make(other, 3);
  CHECK(b.wait_for(3) == numbers(2000, 3));
  CHECK_FALSE(late);
  CHECK(data->made <= 3 + 2);  // those that had begun
}

TEST_CASE("a pool ends while batches are in the making, without handing them out") {
  std::atomic<bool> ended = false;
  std::atomic<bool> late = false;
  const auto data = std::make_shared<slow_start>();
  {
    batch_pool pool(data, 3, nothing);
    pool.make(pool.open(1, 0, 1000, [&](const auto& /*made*/) { late = late || ended; }), 1000);
  }
  ended = true;
  const int made = data->made;
  CHECK(made < 1000);
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(data->made == made);
  CHECK_FALSE(late);
}

TEST_CASE("what making a batch throws is told once and thrown from the next call") {
  std::atomic<int> told = 0;
  batch_pool pool(std::make_shared<slow_start>(), 2, [&] { ++told; });
  CHECK_NOTHROW(pool.check());
  basket a;
  pool.make(pool.open(8, 0, 5, a.receiver()), 5);
  for (int i = 0; i < 2000 && told == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(told == 1);
  CHECK_THROWS_WITH(pool.check(), "no such shard");
  CHECK_THROWS_WITH(pool.make(pool.open(1, 0, 5, a.receiver()), 5), "no such shard");
  CHECK(a.wait_for(0).empty());
}
