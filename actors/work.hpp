// Takes part in a run of another process, until that is over: starts the courier that finds the
// server and all that it needs, and waits. What `rubato work` and the tests use.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "actors/run.hpp"
#include "config/load.hpp"
#include "network/address.hpp"

namespace rubato {

struct work_setup {
  network_address server;
  node_settings settings;
  std::string name;                             // for people; empty: the machine's
  std::int64_t workers = 0;                     // to offer; 0: as many as it computes at once
  std::string version;                          // of the program
  std::function<void(const std::string&)> say;  // to a person, from any thread
};

/// Blocks until the run is over, or `parts.stop` is set and all is handed in. Of `parts`, data,
/// make_learner and stop are used. Throws usage_error or run_error.
void work_for(const work_setup& setup, const run_parts& parts = {});

}  // namespace rubato
