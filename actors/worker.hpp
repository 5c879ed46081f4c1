// The worker actor: one logical worker. It keeps its inner-optimizer state from round to round and
// its last update until the server has settled it. It computes nothing itself.
#pragma once

#include "actors/interfaces.hpp"

namespace rubato {

struct worker_state {
  worker_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "worker";

  server_actor server;
  node_actor node;
  inner_state_ptr inner;  // made at the first round
  std::shared_ptr<const submission> unsettled;
};

worker_actor::behavior_type worker(actor_pointer<worker_actor, worker_state> self,
                                   server_actor server, node_actor node);

}  // namespace rubato
