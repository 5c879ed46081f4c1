// The data loader actor: makes the batches of running rounds a few ahead of the lanes, where that
// takes so long that lanes would wait. Each round
// has at most data.prefetch batches that were sent or begun and not yet used, so its memory is
// bounded. Not here: the threads that make them (data/batch_pool.hpp).
#pragma once

#include "actors/context.hpp"
#include "actors/interfaces.hpp"
#include "data/batch_pool.hpp"

namespace rubato {

struct data_loader_state {
  data_loader_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "data_loader";

  /// What a lane is given; it runs one round at a time.
  struct supply {
    update_id round;
    batch_pool::stream_ptr batches;
  };

  run_context_ptr run;
  std::unique_ptr<batch_pool> pool;
  std::map<caf::actor_id, supply> supplies;  // by lane
};

/// How many threads make batches: data.loader_threads, or what suits the data. 0: there is no data
/// loader, and lanes make theirs.
std::size_t loader_threads(const run_context& run);

data_loader_actor::behavior_type data_loader(
    actor_pointer<data_loader_actor, data_loader_state> self, run_context_ptr run);

}  // namespace rubato
