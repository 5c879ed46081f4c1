// Making batches on several threads, and handing them out in order all the same. Not here: how many
// are made ahead, which is for the caller to say.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "data/dataset.hpp"

namespace rubato {

/// Makes training batches of any number of streams, first asked for first; those of a stream are
/// handed to its receiver one after the other, in the order of their positions, whatever the number
/// of threads. Thread-safe.
class batch_pool {
 public:
  /// Called by any thread, but by one at a time. Must be quick, not throw, and not call the pool.
  using receiver = std::function<void(std::shared_ptr<const batch>)>;

  struct stream;  // consecutive batches of a shard
  using stream_ptr = std::shared_ptr<stream>;

  /// With at least one thread. `on_failure` is called once, by any thread, when a batch could not
  /// be made: then it is time to call make() or check().
  batch_pool(std::shared_ptr<const dataset> data, std::size_t threads,
             std::function<void()> on_failure);
  /// Waits for the batches that are being made, and drops what is not begun.
  ~batch_pool();
  batch_pool(const batch_pool&) = delete;
  batch_pool& operator=(const batch_pool&) = delete;

  /// A stream of `count` batches of a shard from `position` on. Begins no batch.
  stream_ptr open(std::size_t shard, std::uint64_t position, std::uint64_t count, receiver to);

  /// Makes so many more of the stream's batches, or as many as are left of it. Throws like check().
  void make(const stream_ptr& s, std::uint64_t count);

  /// Makes no more of it: after the return, its receiver is not called any more.
  void close(const stream_ptr& s);

  /// Throws what making a batch has thrown on a thread, if any did.
  void check() const;

 private:
  struct job {
    stream_ptr from;
    std::uint64_t position = 0;
  };

  void work(const std::stop_token& stop);
  void hand_out(stream& s, std::uint64_t position, std::shared_ptr<const batch> made);

  std::shared_ptr<const dataset> data_;
  std::function<void()> on_failure_;
  mutable std::mutex mutex_;  // of all below, and held while a receiver is called
  std::condition_variable_any asked_;
  std::deque<job> jobs_;
  std::exception_ptr failure_;
  std::vector<std::jthread> threads_;  // last: they use all the rest
};

}  // namespace rubato
