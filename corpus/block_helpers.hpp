// Threads that have no file of their own help those that have: work on blocks of one file, done by
// whoever is free, taken back in order. Not here: what the work is (prepare).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>

namespace rubato {

/// Thread-safe. An *owner* submits work and finishes it; *helpers* wait for work in help().
class block_helpers {
 public:
  class job;
  using job_ptr = std::shared_ptr<job>;

  /// With so many owners, of which each calls end_owning() once.
  explicit block_helpers(std::size_t owners) : owners_(owners) {}

  /// Offers the work to helpers. It may outlive the owner's interest in it.
  job_ptr submit(std::function<void()> work);

  /// Returns when the work is done: by the caller, if nobody has begun it. Throws what it threw.
  void finish(const job_ptr& j);

  /// How many jobs an owner may have waiting: two for each helper that comes on it; 0 without any.
  std::size_t window() const;

  void end_owning();
  /// As if all owners had ended: those that have not do their work alone.
  void stop();
  /// Does the work of others until all owners have ended.
  void help();

 private:
  void run(job& j, std::unique_lock<std::mutex>& lock);

  mutable std::mutex mutex_;
  std::condition_variable submitted_;
  std::condition_variable done_;
  std::deque<job_ptr> jobs_;
  std::size_t owners_;
  std::size_t helpers_ = 0;
};

}  // namespace rubato
