#include "coordination/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace rubato {

double learning_rate(const config::inner_section& inner, const rate_span& span, std::int64_t step) {
  const bool notebook = inner.schedule == "notebook";
  if (notebook && step == 0) return inner.lr;
  const std::int64_t t = span.start + step + (notebook ? 0 : 1);
  if (t < span.warmup) {
    return inner.lr * static_cast<double>(t) / static_cast<double>(span.warmup);
  }
  if (inner.schedule == "step") {
    double rate = inner.lr;
    for (const double milestone : inner.milestones) {
      if (t > std::llround(milestone * static_cast<double>(span.total))) rate *= inner.decay_factor;
    }
    return rate;
  }
  const std::int64_t length = std::max<std::int64_t>(span.total - span.warmup, 1);
  const double ratio =
      std::clamp(static_cast<double>(t - span.warmup) / static_cast<double>(length), 0.0, 1.0);
  return inner.final_lr +
         0.5 * (inner.lr - inner.final_lr) * (1.0 + std::cos(std::numbers::pi * ratio));
}

rate_span make_schedule(const config::inner_section& inner, std::int64_t budget, double share) {
  rate_span span;
  span.total = std::max<std::int64_t>(1, std::llround(static_cast<double>(budget) * share));
  span.warmup = std::min(inner.warmup_steps, span.total / 10);
  return span;
}

}  // namespace rubato
