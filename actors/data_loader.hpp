// The data loader actor: makes the batches of running rounds a few ahead of the lanes. Each round
// has at most data.prefetch batches that were sent and not yet used, so its memory is bounded.
#pragma once

#include "actors/context.hpp"
#include "actors/interfaces.hpp"

namespace rubato {

struct data_loader_state {
  data_loader_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "data_loader";

  struct stream {
    lane_actor lane;
    shard_id shard;
    std::uint64_t next;       // position
    std::uint32_t remaining;  // batches still to be sent
  };

  run_context_ptr run;
  std::map<update_id, stream> streams;
};

data_loader_actor::behavior_type data_loader(
    actor_pointer<data_loader_actor, data_loader_state> self, run_context_ptr run);

}  // namespace rubato
