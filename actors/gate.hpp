// The gate: the one actor of a server that others can reach without having been told of it. It
// takes nodes in, gives each its workers and a courier, and knows who has which.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"
#include "network/handshake.hpp"
#include "network/roster.hpp"

namespace rubato {

struct gate_setup {
  run_context_ptr run;
  server_actor server;
  std::string version;  // of the program
  run_offer offer;      // but for the workers
};

struct gate_state {
  gate_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "gate";

  struct guest {
    node_courier_actor courier;
    std::vector<worker_id> workers;
    std::string instance;
  };

  gate_setup setup;
  std::unique_ptr<roster> free;
  std::map<std::uint64_t, guest> guests;
  std::uint64_t guests_ever = 0;
  watch_list watched;
  bool closing = false;
};

gate_actor::behavior_type gate(actor_pointer<gate_actor, gate_state> self, gate_setup setup);

}  // namespace rubato
