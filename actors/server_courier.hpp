// The server courier: at a node, in place of the server that is elsewhere. It finds the server, has
// data and model prepared as the run wants them, starts the node, and carries rounds and versions
// to it and updates back. When the link is lost it ends the node and looks for the server again.
//
//   away -- try_again --> connecting --> greeting -- welcome --> preparing -- run_prepared -->
//   working
//    ^                         |             |                       |                           |
//    '--- link lost, refused --'-------------'-----------------------'---------------------------'
//
//   working -- stop_run --> leaving -- no_more, all handed in --> parting --> (ends)
//   any -- goodbye: finished --> parting --> (ends)
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "actors/courier.hpp"
#include "actors/interfaces.hpp"
#include "network/address.hpp"
#include "network/backoff.hpp"
#include "network/handshake.hpp"
#include "transfer/versions_here.hpp"

namespace rubato {

/// How it went: where a node leaves what it ended with.
struct work_result {
  std::exception_ptr error;  // null: well
};

struct server_courier_setup {
  network_address server;
  bool encrypted = false;
  config::network_section network;
  std::string version;  // of the program
  node_offer offer;     // but for what it learns from the server
  /// Makes the node's context from the settings of the run; takes long; throws usage_error or
  /// run_error.
  std::function<run_context_ptr(const override_list&)> prepare;
  std::int64_t lanes = 1;
  std::function<void(const std::string&)> say;  // to a person, from any thread
  std::shared_ptr<work_result> result;
  std::shared_ptr<link_probe> links = {};  // may be null
};

struct server_courier_state {
  server_courier_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "server courier";

  enum class phase { away, connecting, greeting, preparing, working, leaving, parting };

  struct waiting_round {
    assign_round round;
    bool goes_on;  // without the version
  };

  server_courier_setup setup;
  phase now = phase::away;
  std::optional<backoff> waits;
  std::uint64_t attempt = 0;            // to reach the server, so far
  std::optional<link_time> away_since;  // nothing has come of any attempt since then
  watch_list watched;

  // Of the current connection.
  gate_actor gate;
  node_courier_actor peer;
  courier_link link;
  run_offer offer;
  bool no_more = false;                                         // no more rounds will come
  std::uint64_t newest = 0;                                     // the transfer that came last, ...
  version_ptr base;                                             // ... what it brought, ...
  bool whole = false;                                           // ... and whether without another
  std::map<std::uint64_t, std::vector<waiting_round>> waiting;  // for this transfer

  // Of the node, which goes on from connection to connection where it can.
  node_actor node;
  std::uint64_t nodes = 0;                                      // that there were until now
  std::unique_ptr<versions_here> versions;                      // that its workers have
  std::map<worker_id, std::uint32_t> lives;                     // incarnations of its workers
  std::map<update_id, std::shared_ptr<const submission>> open;  // not settled; null: not done

  run_context_ptr run;         // of this run, kept from connection to connection
  override_list run_settings;  // that it was made from
};

server_courier_actor::behavior_type server_courier(
    actor_pointer<server_courier_actor, server_courier_state> self, server_courier_setup setup);

}  // namespace rubato
