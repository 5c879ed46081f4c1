// Memory for tensors that every step makes and drops in the same sizes. The C library gives large
// blocks back to the system at once, which clears them anew for the next step: a fourth of the time
// of a small transformer's step in bf16. Here they are kept, as many as a step needs.
// Not here: parameters and what else lives long (optim/parameter_buffer).
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace rubato {

/// Blocks by size. Thread-safe.
class block_cache {
 public:
  static constexpr std::size_t alignment = 64;
  /// Smaller ones are the C library's business: it keeps them itself.
  static constexpr std::size_t smallest = std::size_t{32} << 10;

  block_cache() = default;
  ~block_cache();
  block_cache(const block_cache&) = delete;
  block_cache& operator=(const block_cache&) = delete;

  /// Memory of at least this size with any content, aligned to `alignment`.
  /// Throws std::bad_alloc.
  void* take(std::size_t bytes);
  /// What take() gave; null does nothing.
  void give_back(void* data);

  /// Bytes in blocks that are kept and nobody has. At most half as many again as were in use at
  /// once at some time, for what a step uses is not all used at once; the longest unused go first.
  std::size_t idle_bytes() const;
  std::size_t used_bytes() const;

 private:
  struct header;
  using idle_list = std::list<header*>;  // in the order they came back

  void release(idle_list::iterator block);

  mutable std::mutex mutex_;
  idle_list idle_;
  std::unordered_map<std::size_t, std::vector<idle_list::iterator>> by_size_;
  std::size_t idle_bytes_ = 0;
  std::size_t used_bytes_ = 0;
  std::size_t most_used_bytes_ = 0;
};

/// From now on LibTorch's tensors in main memory come from one block_cache, in the whole process.
/// Several calls do no harm.
void keep_tensor_memory();

}  // namespace rubato
