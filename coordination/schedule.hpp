// The inner learning rate as a function of a schedule's step count: linear warm-up, then cosine
// (Liu et al. 2024, Eq 3) or steps down. In asynchronous runs each shard has a schedule of its own,
// in synchronous ones there is one for all.
// Not here: what a change of the rate means for momentum (optim/inner_optimizer.hpp).
#pragma once

#include <cstdint>

#include "config/config.hpp"
#include "coordination/types.hpp"

namespace rubato {

/// eta_t for t = span.start + step + 1, the count of steps including this one:
///   t < warmup:  t * lr / warmup
///   otherwise, by inner.schedule:
///   cosine:      final_lr + (lr - final_lr) / 2 * (1 + cos(pi * (t - warmup) / (total - warmup))),
///                the ratio clamped to [0, 1]: beyond `total` the rate stays at final_lr
///   step:        lr * decay_factor^k, where k of the milestones are past: t > round(m * total)
///   notebook:    as cosine, but t counts the steps before this one, and the first step of a round
///                has the rate lr
double learning_rate(const config::inner_section& inner, const rate_span& span, std::int64_t step);

/// The schedule of a share (0..1] of the budget: total = budget * share, at least 1; warm-up is
/// warmup_steps, but at most a tenth of the total. start is 0.
rate_span make_schedule(const config::inner_section& inner, std::int64_t budget, double share);

}  // namespace rubato
