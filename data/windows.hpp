// Which windows of a long row of tokens are trained on and evaluated on. Not here: the tokens
// (text_dataset, tokens/token_dataset).
#pragma once

#include <cstdint>
#include <vector>

namespace rubato {

/// The rows of tokens that a model is given: where they lie and how many make a batch.
struct window_plan {
  std::uint64_t seed = 1;
  std::int64_t batch_size = 1;
  std::int64_t length = 1;  // tokens that are predicted; a window has one more
};

/// Where the windows of the batch at `position` of a shard begin in its `size` tokens, taken as a
/// ring. An epoch visits, in pseudo-random order, all windows of `length` tokens that tile the ring
/// from a random place that is new in each epoch. So within an epoch no token is predicted twice,
/// and fewer than `length` are not predicted. A pure function; `size` is at least `length`.
std::vector<std::uint64_t> training_windows(const window_plan& plan, std::uint64_t size,
                                            std::uint64_t shard, std::uint64_t position);

/// Where windows that do not overlap begin, spread evenly over `size` > `length` tokens: enough for
/// so many batches; or, of fewer tokens, for as many whole ones as there are, or for one of fewer
/// rows.
std::vector<std::uint64_t> held_out_windows(const window_plan& plan, std::uint64_t size,
                                            std::int64_t batches);

}  // namespace rubato
