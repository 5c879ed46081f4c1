// The stages of a run: how many local steps a round has from when on. Post-local SGD is two of
// them: data-parallel training, then local steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace rubato {

struct stage {
  std::int64_t from = 0;         // local steps of all workers together
  std::int64_t local_steps = 1;  // of a round (H); 0: data-parallel, a round is one gradient

  bool data_parallel() const { return local_steps == 0; }
};

/// The stages of quota.stages, in order, the first from 0; without any, one with
/// quota.local_steps. An entry is "FROM H" or "FROM data-parallel"; FROM is a number of local
/// steps, or a percentage of run.local_steps with at most three decimals ("33.3%"), which is
/// rounded to the nearest step, a half upwards.
/// Throws usage_error with what is wrong and what is allowed, without the name of the key.
std::vector<stage> parse_stages(const config& c);

}  // namespace rubato
