#include "model/tensor_memory.hpp"

#include <torch/torch.h>
#undef CHECK
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

using namespace rubato;

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t large = 64 * page;

}  // namespace

TEST_CASE("blocks are aligned, and those that came back are given out again for their size") {
  block_cache cache;
  void* const a = cache.take(large);
  void* const b = cache.take(large);
  void* const c = cache.take(2 * large);
  for (void* data : {a, b, c}) {
    CHECK(reinterpret_cast<std::uintptr_t>(data) % block_cache::alignment == 0);
  }
  std::memset(c, 1, 2 * large);
  CHECK(cache.used_bytes() == 4 * large);
  cache.give_back(a);
  cache.give_back(c);
  CHECK(cache.used_bytes() == large);
  CHECK(cache.idle_bytes() == 3 * large);
  CHECK(cache.take(2 * large - 10) == c);
  CHECK(cache.take(large) == a);
  CHECK(cache.idle_bytes() == 0);
  for (void* data : {a, b, c}) cache.give_back(data);
}

TEST_CASE("no more is kept than was in use at once, and the longest unused goes first") {
  block_cache cache;
  void* const early = cache.take(large);
  void* const late = cache.take(2 * large);
  cache.give_back(early);
  cache.give_back(late);
  CHECK(cache.idle_bytes() == 3 * large);
  // Another size, as another phase needs it: what was of use before makes room for it.
  void* const other = cache.take(3 * large);
  cache.give_back(other);
  CHECK(cache.idle_bytes() == 3 * large);
  CHECK(cache.take(3 * large) == other);
  CHECK(cache.idle_bytes() == 0);
  cache.give_back(other);
}

TEST_CASE("what a step uses one after another is there for the next step") {
  block_cache cache;
  const auto step = [&cache] {
    void* const first = cache.take(12 * large);
    cache.give_back(first);
    cache.give_back(cache.take(5 * large));
    return first;
  };
  void* const first = step();
  CHECK(cache.idle_bytes() == 17 * large);
  CHECK(step() == first);
  cache.give_back(cache.take(2 * large));  // more than half as many again as were used at once
  CHECK(cache.idle_bytes() == 7 * large);
}

TEST_CASE("small blocks are not kept, and nothing is nothing") {
  block_cache cache;
  void* const small = cache.take(100);
  CHECK(cache.used_bytes() == 0);
  cache.give_back(small);
  cache.give_back(nullptr);
  CHECK(cache.idle_bytes() == 0);
}

TEST_CASE("threads share a cache") {
  block_cache cache;
  {
    std::vector<std::jthread> threads;
    for (unsigned char t = 0; t < 4; ++t) {
      threads.emplace_back([&cache, t] {
        for (std::size_t i = 0; i < 500; ++i) {
          const std::size_t size = large + page * ((i + t) % 7);
          auto* const data = static_cast<unsigned char*>(cache.take(size));
          std::memset(data, t, size);
          CHECK(data[size / 2] == t);
          cache.give_back(data);
        }
      });
    }
  }
  CHECK(cache.used_bytes() == 0);
  CHECK(cache.idle_bytes() <= 4 * (large + 6 * page) * 3 / 2);
}

TEST_CASE("tensors take the memory of those before them, and keep what is in them") {
  keep_tensor_memory();
  keep_tensor_memory();
  const void* place = nullptr;
  {
    const auto first = torch::full({300, 300}, 1.5F);
    place = first.data_ptr();
    CHECK(first.sum().item<float>() == doctest::Approx(1.5 * 300 * 300));
  }
  const auto second = torch::empty({300, 300});
  CHECK(second.data_ptr() == place);
  auto grown = torch::full({200, 200}, 2.0F);
  grown.resize_({400, 400});
  CHECK(grown.view({-1}).narrow(0, 0, 200 * 200).eq(2.0F).all().item<bool>());
  CHECK(torch::empty({0}).numel() == 0);
}
