// The node courier: at the server, in place of one node that is elsewhere. It sends the node the
// rounds of its workers and the versions that they start from, hands updates to the server when
// they are all there, and tells it when the node leaves or is lost.
//
//   preparing -- node_ready --> working -- goodbye, link lost --> gone -- no_more_rounds --> (ends)
//        '-- goodbye, link lost --> (ends)
//
// In every state: close_gate --> closing -- goodbye, link lost, silence --> (ends)
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "actors/courier.hpp"
#include "actors/interfaces.hpp"

namespace rubato {

struct node_courier_setup {
  run_context_ptr run;
  server_actor server;
  server_courier_actor node;  // the other end
  std::string title;          // of the node, for people
  std::vector<worker_id> workers;
  std::string welcome;  // a run_offer
};

struct node_courier_state {
  node_courier_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "node courier";

  enum class phase { preparing, working, gone, closing };

  /// A round of one of its workers that is not settled.
  struct open_round {
    assign_round given;
    cargo version;  // that it starts from; of one that goes on from what the worker has, the
                    // version of the round before it
    std::shared_ptr<const submission> update;
    std::uint64_t transfer = 0;  // of the version
    run_time received{0};        // how long that took, on the wall clock
  };

  node_courier_setup setup;
  phase now = phase::preparing;
  courier_link link;
  watch_list watched;
  std::map<worker_id, std::vector<open_round>> open;  // in order; one, or two with network.overlap
  std::map<worker_id, std::vector<update_id>> kept;   // that the node has from before
  std::map<std::uint64_t, arrival> announced;         // by transfer, of updates on their way
  std::optional<link_time> closes_at;                 // whether the node has answered or not
};

node_courier_actor::behavior_type node_courier(
    actor_pointer<node_courier_actor, node_courier_state> self, node_courier_setup setup);

}  // namespace rubato
