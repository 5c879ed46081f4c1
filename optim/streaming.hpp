// Writes that go past the caches, for results that are as large as a model: nobody reads them
// before they would have left the caches anyway, and memory that is written whole need not be read
// first.
#pragma once

#include <cstddef>
#include <span>

namespace rubato {

/// From so many bytes on it pays to write a buffer past the caches.
inline constexpr std::size_t streaming_bytes = std::size_t{32} << 20;

/// Copies to `to`, which is aligned to 64 bytes and does not overlap. Other threads see it after
/// streaming_done() and whatever tells them.
void stream(std::span<const float> from, float* to);

/// To be called by the thread that streamed, when it is through.
void streaming_done();

}  // namespace rubato
