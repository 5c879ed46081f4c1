#include "data/batch_pool.hpp"

#include <utility>

namespace rubato {

struct batch_pool::stream {
  std::size_t shard = 0;
  std::uint64_t next = 0;  // position of the batch to ask for next
  std::uint64_t end = 0;
  receiver to;
  bool is_open = true;
  std::uint64_t first = 0;  // position of the first that is not handed out
  std::deque<std::shared_ptr<const batch>> made = {};  // from there to `next`; null: in the making
};

batch_pool::batch_pool(std::shared_ptr<const dataset> data, std::size_t threads,
                       std::function<void()> on_failure)
    : data_(std::move(data)), on_failure_(std::move(on_failure)) {
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  }
}

batch_pool::~batch_pool() {
  {
    const std::lock_guard lock(mutex_);
    jobs_.clear();
  }
  for (auto& thread : threads_) thread.request_stop();
  threads_.clear();
}

batch_pool::stream_ptr batch_pool::open(std::size_t shard, std::uint64_t position,
                                        std::uint64_t count, receiver to) {
  auto s = std::make_shared<stream>();
  s->shard = shard;
  s->next = s->first = position;
  s->end = position + count;
  s->to = std::move(to);
  return s;
}

void batch_pool::make(const stream_ptr& s, std::uint64_t count) {
  check();
  const std::lock_guard lock(mutex_);
  for (; count > 0 && s->next < s->end; --count) {
    s->made.emplace_back();
    jobs_.push_back({s, s->next++});
    asked_.notify_one();
  }
}

void batch_pool::close(const stream_ptr& s) {
  const std::lock_guard lock(mutex_);
  s->is_open = false;
  s->end = s->next;
}

void batch_pool::check() const {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void batch_pool::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (asked_.wait(lock, stop, [this] { return !jobs_.empty(); }) && !stop.stop_requested()) {
    const auto [from, position] = std::move(jobs_.front());
    jobs_.pop_front();
    if (!from->is_open) continue;
    lock.unlock();
    std::shared_ptr<const batch> made;
    std::exception_ptr failure;
    try {
      made = std::make_shared<const batch>(data_->training_batch(from->shard, position));
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (!failure) {
      hand_out(*from, position, std::move(made));
    } else if (!failure_) {
      failure_ = failure;
      on_failure_();
    }
  }
}

/// Keeps a batch that is made until those before it are handed out. Called with the lock held.
void batch_pool::hand_out(stream& s, std::uint64_t position, std::shared_ptr<const batch> made) {
  s.made[position - s.first] = std::move(made);
  while (!s.made.empty() && s.made.front()) {
    if (s.is_open) s.to(std::move(s.made.front()));
    s.made.pop_front();
    ++s.first;
  }
}

}  // namespace rubato
