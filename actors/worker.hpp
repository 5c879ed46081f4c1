// The worker actor: one logical worker. It keeps its inner state from round to round and its last
// update until the server has settled it; where it is to keep a pace on the wall clock, it holds an
// update back until it is due. It computes nothing itself.
#pragma once

#include <optional>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"

namespace rubato {

struct worker_state {
  worker_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "worker";

  run_context_ptr run;
  server_actor server;
  node_actor node;
  std::optional<assignment> work;  // the round that is not settled
  std::uint32_t incarnation = 0;   // of the last round
  inner_state_ptr inner;           // made at the first round of each incarnation
  std::shared_ptr<const submission> unsettled;

  worker_id id = 0;
  bool asked = false;                // to say where it is as soon as the lane has done its round
  bool captured = false;             // it said so, and that is not written yet
  std::optional<assign_round> next;  // came in the meantime
};

worker_actor::behavior_type worker(actor_pointer<worker_actor, worker_state> self,
                                   run_context_ptr run, worker_id id, server_actor server,
                                   node_actor node);

}  // namespace rubato
