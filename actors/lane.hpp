// The lane actor: a thread that computes. It runs one round at a time for whichever worker the node
// gives it, one inner step a message, and hands back a pseudo-gradient. Batches come from the data
// loader or, where there is none, are made here as they are needed.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"
#include "model/local_round.hpp"

namespace rubato {

/// A round is being computed for as long as this is there.
class running_round {
 public:
  explicit running_round(std::shared_ptr<lane_activity> activity) : activity_(std::move(activity)) {
    activity_->running += 1;
  }
  ~running_round() { activity_->running -= 1; }
  running_round(const running_round&) = delete;
  running_round& operator=(const running_round&) = delete;

 private:
  std::shared_ptr<lane_activity> activity_;
};

struct lane_state {
  lane_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "lane";

  run_context_ptr run;
  std::uint32_t index = 0;
  node_actor node;
  data_loader_actor loader;            // may be null
  std::unique_ptr<local_round> round;  // made on the lane's own thread, at its first round
  std::optional<update_id> current;    // the round that is being computed
  std::deque<run_round> next;          // those after it
  std::optional<running_round> running;
  inner_state_ptr inner;               // of the worker whose round it is
  std::optional<version_reply> reply;  // that the round is to take over
  run_time begun{0};                   // when it was begun, in real time
  std::optional<run_time> waiting;     // for a batch, since then
  run_time waited{0};                  // for batches of this round
  std::deque<std::shared_ptr<const batch>> batches;
  shard_id shard = 0;          // of the batch to make, where there is no loader ...
  std::uint64_t position = 0;  // ... and where it is there
  std::uint32_t taken = 0;     // batches since the loader was told
};

lane_actor::behavior_type lane(actor_pointer<lane_actor, lane_state> self, run_context_ptr run,
                               std::uint32_t index, node_actor node, data_loader_actor loader);

}  // namespace rubato
