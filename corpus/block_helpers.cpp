#include "corpus/block_helpers.hpp"

#include <utility>

namespace rubato {

class block_helpers::job {
 public:
  std::function<void()> work;
  enum { waiting, begun, done } state = waiting;
  std::exception_ptr thrown;
};

block_helpers::job_ptr block_helpers::submit(std::function<void()> work) {
  auto j = std::make_shared<job>();
  j->work = std::move(work);
  const std::lock_guard lock(mutex_);
  if (helpers_ > 0) {
    jobs_.push_back(j);
    submitted_.notify_one();
  }
  return j;
}

void block_helpers::run(job& j, std::unique_lock<std::mutex>& lock) {
  j.state = job::begun;
  lock.unlock();
  try {
    j.work();
  } catch (...) {
    j.thrown = std::current_exception();
  }
  lock.lock();
  j.state = job::done;
  done_.notify_all();
}

void block_helpers::finish(const job_ptr& j) {
  std::unique_lock lock(mutex_);
  if (j->state == job::waiting) run(*j, lock);
  done_.wait(lock, [&] { return j->state == job::done; });
  if (j->thrown) std::rethrow_exception(j->thrown);
}

std::size_t block_helpers::window() const {
  const std::lock_guard lock(mutex_);
  return owners_ == 0 ? 0 : (2 * helpers_ + owners_ - 1) / owners_;
}

void block_helpers::end_owning() {
  const std::lock_guard lock(mutex_);
  if (owners_ > 0) --owners_;
  submitted_.notify_all();
}

void block_helpers::stop() {
  const std::lock_guard lock(mutex_);
  owners_ = 0;
  submitted_.notify_all();
}

void block_helpers::help() {
  std::unique_lock lock(mutex_);
  ++helpers_;
  for (;;) {
    submitted_.wait(lock, [this] { return !jobs_.empty() || owners_ == 0; });
    if (jobs_.empty()) break;
    const auto j = std::move(jobs_.front());
    jobs_.pop_front();
    if (j->state == job::waiting) run(*j, lock);
  }
  --helpers_;
}

}  // namespace rubato
