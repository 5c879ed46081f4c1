// Writes that go past the caches, for results that are as large as a model: nobody reads them
// before they would have left the caches anyway, and memory that is written whole need not be read
// first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#if defined(__SSE2__)
#  include <xmmintrin.h>
#endif

namespace rubato {

/// From so many bytes on it pays to write a buffer past the caches.
inline constexpr std::size_t streaming_bytes = std::size_t{32} << 20;

/// Copies to `to`, which is aligned to 16 bytes and does not overlap. Other threads see it after
/// streaming_done() and whatever tells them.
inline void stream(std::span<const float> from, float* to) {
  std::size_t done = 0;
#if defined(__SSE2__)
  constexpr std::size_t lanes = 4;
  for (; done + lanes <= from.size(); done += lanes) {
    _mm_stream_ps(to + done, _mm_loadu_ps(from.data() + done));
  }
#endif
  std::copy(from.begin() + static_cast<std::ptrdiff_t>(done), from.end(), to + done);
}

/// To be called by the thread that streamed, when it is through.
inline void streaming_done() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace rubato
