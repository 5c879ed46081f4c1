// How long to wait before the next attempt to reach the server: longer each time, and never the
// same for all nodes, so that those that lost it together do not come back together.
#pragma once

#include <chrono>
#include <cstdint>

namespace rubato {

class backoff {
 public:
  /// `seed`: another one in each process.
  explicit backoff(std::uint64_t seed) : seed_(seed) {}

  /// Somewhere in the upper half of a wait that doubles with each attempt, from `first` to `last`.
  std::chrono::nanoseconds next();
  /// An attempt has succeeded.
  void reset() { attempts_ = 0; }

  static constexpr std::chrono::nanoseconds first = std::chrono::milliseconds(250);
  static constexpr std::chrono::nanoseconds last = std::chrono::seconds(2);

 private:
  std::uint64_t seed_;
  std::uint64_t drawn_ = 0;
  std::uint32_t attempts_ = 0;
};

}  // namespace rubato
