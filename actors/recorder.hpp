// The recorder actor: puts what happened into the run directory, in the order it is told.
#pragma once

#include <memory>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"
#include "storage/run_directory.hpp"

namespace rubato {

struct recorder_state {
  recorder_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "recorder";

  run_context_ptr run;
  server_actor server;
  std::shared_ptr<const run_directory> directory;
  std::unique_ptr<line_file> updates;
  std::unique_ptr<line_file> metrics;
  std::uint64_t unreported = 0;  // records taken since the server was told
};

recorder_actor::behavior_type recorder(actor_pointer<recorder_actor, recorder_state> self,
                                       run_context_ptr run, server_actor server,
                                       std::shared_ptr<const run_directory> directory);

}  // namespace rubato
