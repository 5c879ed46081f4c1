#include "bench/stopwatch.hpp"

#include <sys/resource.h>

namespace rubato {

resource_reading resource_reading::now() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return {seconds(used.ru_utime) + seconds(used.ru_stime), std::chrono::steady_clock::now()};
}

step_cost cost_between(const resource_reading& begin, const resource_reading& end,
                       std::int64_t tokens) {
  return {tokens, end.cpu_seconds - begin.cpu_seconds,
          std::chrono::duration<double>(end.at - begin.at).count()};
}

void stopwatch::progressed(const progress& p) {
  if (p.local_steps >= budget_) {
    if (begin_) cost_ = cost_between(*begin_, resource_reading::now(), p.tokens - tokens_before_);
  } else if (!begin_ && first_evaluated_ && p.local_steps >= warm_up_) {
    tokens_before_ = p.tokens;
    begin_ = resource_reading::now();
  }
}

}  // namespace rubato
