// The recorder actor: puts what happened into the run directory, in the order it is told, and
// writes checkpoints in slices in between. Records of the journal become durable in groups: all
// that had come by the time that the last group was on the disk.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"
#include "monitoring/probes.hpp"
#include "recovery/resume.hpp"
#include "recovery/run_journal.hpp"
#include "recovery/snapshot.hpp"
#include "storage/run_directory.hpp"

namespace rubato {

/// What the recorder begins with.
struct recorder_setup {
  std::shared_ptr<const run_directory> directory;
  run_identity identity;
  nlohmann::json restored;  // what it said in the checkpoint that the run goes on from; or null
  std::optional<std::uint64_t> first_record;  // of a journal that begins; none: it goes on
  std::shared_ptr<run_probe> probe;           // may be null
  run_plan plan;                              // for the probe
};

struct recorder_state {
  recorder_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "recorder";

  run_context_ptr run;
  server_actor server;
  recorder_setup setup;
  std::unique_ptr<line_file> updates;
  std::unique_ptr<line_file> metrics;
  std::unique_ptr<run_journal> journal;  // null without one
  bool committing = false;               // a commit_records is on its way
  std::uint64_t taken_before = 0;        // without a journal: records
  std::uint64_t reported = 0;            // of these, to the server

  std::unique_ptr<snapshot_writer> checkpoint;  // that is being written
  std::uint64_t checkpoint_version = 0;
  std::uint64_t workers_awaited = 0;          // that have not said where they are
  std::map<std::string, worker_id> captured;  // whose parts are not written yet
  bool slicing = false;                       // a write_slice is on its way
};

recorder_actor::behavior_type recorder(actor_pointer<recorder_actor, recorder_state> self,
                                       run_context_ptr run, server_actor server,
                                       recorder_setup setup);

}  // namespace rubato
