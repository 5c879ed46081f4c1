// The inner learning rate as a function of a schedule's step count: linear warm-up, then cosine
// (Liu et al. 2024, Eq 3). In asynchronous runs each shard has a schedule of its own.
#pragma once

#include <cstdint>

#include "config/config.hpp"
#include "coordination/types.hpp"

namespace rubato {

/// eta_t for t = span.start + step + 1, the count of steps including this one:
///   t < warmup:  t * lr / warmup
///   otherwise:   final_lr + (lr - final_lr) / 2 * (1 + cos(pi * (t - warmup) / (total - warmup)))
/// The ratio is clamped to [0, 1]: beyond `total` the rate stays at final_lr. With inner.schedule =
/// "notebook", t counts the steps before this one, and the first step of a round has the rate lr.
double learning_rate(const config::inner_section& inner, const rate_span& span, std::int64_t step);

/// The schedule of a share (0..1] of the budget: total = budget * share, at least 1; warm-up is
/// warmup_steps, but at most a tenth of the total. start is 0.
rate_span make_schedule(const config::inner_section& inner, std::int64_t budget, double share);

}  // namespace rubato
