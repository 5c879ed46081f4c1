// A loop on several threads, that waits for all of them. Not here: making batches (batch_pool).
#pragma once

#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace rubato {

/// Calls work(i) for each i < count, in equal parts on so many threads (at least 1). Where calls
/// throw, the rest of their parts is left out and the exception of the smallest i is thrown on.
template <class Work>
void in_parallel(std::size_t count, std::size_t threads, const Work& work) {
  std::vector<std::exception_ptr> thrown(threads);
  const auto part = [&](std::size_t t) {
    try {
      for (std::size_t i = count * t / threads; i < count * (t + 1) / threads; ++i) work(i);
    } catch (...) {
      thrown[t] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t t = 1; t < threads; ++t) others.emplace_back(part, t);
    part(0);
  }
  for (const auto& exception : thrown) {
    if (exception) std::rethrow_exception(exception);
  }
}

}  // namespace rubato
