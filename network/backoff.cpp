#include "network/backoff.hpp"

#include <algorithm>

#include "config/random.hpp"

namespace rubato {

std::chrono::nanoseconds backoff::next() {
  constexpr std::uint32_t doublings = 3;  // from first to last
  static_assert(first * (1 << doublings) == last);
  const auto wait = first * (1 << std::min(attempts_, doublings));
  attempts_ += 1;
  random_generator random(seed_, random_stream::reconnect, {drawn_++});
  const double share = 0.5 + 0.5 * random.uniform();
  return std::chrono::nanoseconds(
      static_cast<std::int64_t>(share * static_cast<double>(wait.count())));
}

}  // namespace rubato
