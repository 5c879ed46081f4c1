// The node actor: what a process brings to a run. It spawns workers, lanes and the data loader, and
// keeps the rounds that wait for a lane, earliest due first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"

namespace rubato {

struct node_state {
  node_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "node";

  using place_in_queue = std::pair<run_time, update_id>;  // by due time

  struct member {
    worker_actor actor;
    std::optional<place_in_queue> queued;  // its round waits for a lane
    bool captured = false;                 // the worker says where it is, and that is written
    std::optional<run_round> held;         // its round waits for that
  };

  std::map<worker_id, member> workers;
  data_loader_actor
      loader;  // may be null; kept here: one that nobody refers to ends, and takes the node along
  struct lane_slot {
    lane_actor actor;
    std::size_t rounds = 0;  // that it has
  };

  std::vector<lane_slot> lanes;
  std::size_t rounds_ahead = 0;  // that a lane may have besides the one it computes
  std::map<place_in_queue, run_round> ready;
};

/// Joins `host` with these workers, on `lanes` threads.
node_actor::behavior_type node(actor_pointer<node_actor, node_state> self, run_context_ptr run,
                               host_actor host, const std::vector<worker_id>& workers,
                               std::int64_t lanes);

}  // namespace rubato
