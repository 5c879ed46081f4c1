// The worker actor: one logical worker. It keeps its inner state from round to round and its
// updates until the server has settled them; where it is to keep a pace on the wall clock, it holds
// an update back until it is due. With network.overlap it goes on from where it is while its last
// update travels. It computes nothing itself.
#pragma once

#include <deque>
#include <optional>
#include <variant>
#include <vector>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"

namespace rubato {

/// A round that is not settled.
struct worker_round {
  assign_round given;
  std::shared_ptr<const submission> done;  // handed in
};

struct worker_state {
  worker_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "worker";

  run_context_ptr run;
  host_actor host;
  node_actor node;
  std::deque<worker_round> rounds;   // in order; one, or two with network.overlap
  std::optional<update_id> running;  // that the node has
  std::uint32_t incarnation = 0;     // of the last round
  inner_state_ptr inner;             // made at the first round of each incarnation
  stretch went;                      // with network.overlap: of the last round; null: start anew
  bool replied = false;              // it took over the version of the one after it

  worker_id id = 0;
  bool asked = false;     // to say where it is as soon as the lane has done its round
  bool captured = false;  // it said so, and that is not written yet; it begins no round
  // Told since it was asked; what it says is to be as it was before.
  std::vector<std::variant<assign_round, update_settled>> told;
};

worker_actor::behavior_type worker(actor_pointer<worker_actor, worker_state> self,
                                   run_context_ptr run, worker_id id, host_actor host,
                                   node_actor node);

}  // namespace rubato
