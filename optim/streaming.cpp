#include "optim/streaming.hpp"

#include <algorithm>

#include "config/instruction_set.hpp"

#if defined(__x86_64__)
#  include <immintrin.h>
#endif

namespace rubato {

namespace {

// Each copies whole steps of a register and returns how many floats these were.

#if defined(__x86_64__)
std::size_t stream_baseline(const float* from, std::size_t count, float* to) {
  constexpr std::size_t lanes = 4;
  const std::size_t whole = count / lanes * lanes;
  for (std::size_t i = 0; i < whole; i += lanes) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
  return whole;
}

[[gnu::target("avx2")]] std::size_t stream_avx2(const float* from, std::size_t count, float* to) {
  constexpr std::size_t lanes = 8;
  const std::size_t whole = count / lanes * lanes;
  for (std::size_t i = 0; i < whole; i += lanes)
    _mm256_stream_ps(to + i, _mm256_loadu_ps(from + i));
  return whole;
}

[[gnu::target("avx512f")]] std::size_t stream_avx512(const float* from, std::size_t count,
                                                     float* to) {
  constexpr std::size_t lanes = 16;
  const std::size_t whole = count / lanes * lanes;
  for (std::size_t i = 0; i < whole; i += lanes)
    _mm512_stream_ps(to + i, _mm512_loadu_ps(from + i));
  return whole;
}
#endif

}  // namespace

void stream(std::span<const float> from, float* to) {
  std::size_t done = 0;
#if defined(__x86_64__)
  switch (instruction_set_in_use()) {
    case instruction_set::avx512:
      done = stream_avx512(from.data(), from.size(), to);
      break;
    case instruction_set::avx2:
      done = stream_avx2(from.data(), from.size(), to);
      break;
    case instruction_set::baseline:
      done = stream_baseline(from.data(), from.size(), to);
      break;
  }
#endif
  std::copy(from.begin() + static_cast<std::ptrdiff_t>(done), from.end(), to + done);
}

void streaming_done() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

}  // namespace rubato
