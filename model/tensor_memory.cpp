#include "model/tensor_memory.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace rubato {

/// Before each block; as long as the alignment.
struct alignas(block_cache::alignment) block_cache::header {
  std::size_t size;  // of the block without this
};

namespace {

/// Sizes that differ by less than this share blocks.
constexpr std::size_t granularity = std::size_t{4} << 10;

}  // namespace

block_cache::~block_cache() {
  while (!idle_.empty()) release(idle_.begin());
}

void* block_cache::take(std::size_t bytes) {
  const std::size_t size = (bytes + granularity - 1) / granularity * granularity;
  if (bytes >= smallest) {
    const std::lock_guard lock(mutex_);
    used_bytes_ += size;
    most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
    const auto found = by_size_.find(size);
    if (found != by_size_.end() && !found->second.empty()) {
      const auto place = found->second.back();
      found->second.pop_back();
      header* const block = *place;
      idle_.erase(place);
      idle_bytes_ -= size;
      return block + 1;
    }
  }
  void* const memory = std::aligned_alloc(alignment, sizeof(header) + size);
  if (memory == nullptr) throw std::bad_alloc();
  return new (memory) header{bytes >= smallest ? size : 0} + 1;
}

void block_cache::give_back(void* data) {
  if (data == nullptr) return;
  header* const block = static_cast<header*>(data) - 1;
  if (block->size == 0) {
    std::free(block);
    return;
  }
  const std::lock_guard lock(mutex_);
  used_bytes_ -= block->size;
  idle_bytes_ += block->size;
  by_size_[block->size].push_back(idle_.insert(idle_.end(), block));
  while (idle_bytes_ > most_used_bytes_ + most_used_bytes_ / 2) release(idle_.begin());
}

/// The longest unused of its size is the first of them.
void block_cache::release(idle_list::iterator block) {
  header* const gone = *block;
  auto& same = by_size_.at(gone->size);
  same.erase(std::find(same.begin(), same.end(), block));
  idle_bytes_ -= gone->size;
  idle_.erase(block);
  std::free(gone);
}

std::size_t block_cache::idle_bytes() const {
  const std::lock_guard lock(mutex_);
  return idle_bytes_;
}

std::size_t block_cache::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_bytes_;
}

namespace {

/// Tensors may outlive everything, so it is never destroyed.
block_cache& tensor_blocks() {
  static auto* const blocks = new block_cache;
  return *blocks;
}

void give_back(void* data) {
  tensor_blocks().give_back(data);
}

class tensor_allocator final : public at::Allocator {
 public:
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  at::DataPtr allocate(std::size_t bytes) override {
    return make(bytes);
  }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
#else
  at::DataPtr allocate(std::size_t bytes) const override {
    return make(bytes);
  }
#endif
  at::DeleterFnPtr raw_deleter() const override {
    return &give_back;
  }

 private:
  static at::DataPtr make(std::size_t bytes) {
    void* const data = bytes == 0 ? nullptr : tensor_blocks().take(bytes);
    return {data, data, &give_back, at::Device(at::kCPU)};
  }
};

}  // namespace

void keep_tensor_memory() {
  static tensor_allocator allocator;
  static const bool once = [] {
    c10::SetAllocator(at::kCPU, &allocator, /*priority=*/1);
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace rubato
