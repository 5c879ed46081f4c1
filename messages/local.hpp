// Messages between actors of one process. They carry pointers: to parameters, to batches, to
// records; whoever receives one may read what it points to for as long as it likes, and nobody
// writes to it any more. Not for the network: a pointer sent to another process arrives empty.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/load.hpp"
#include "coordination/round_measures.hpp"
#include "data/dataset.hpp"
#include "messages/caf.hpp"
#include "monitoring/observer.hpp"
#include "monitoring/probes.hpp"
#include "network/handshake.hpp"
#include "optim/parameter_buffer.hpp"

namespace rubato {

// -- server <-> node, worker --------------------------------------------------------------------

/// What a worker keeps from round to round (optim/inner_optimizer.hpp).
struct inner_state;
using inner_state_ptr = std::shared_ptr<inner_state>;

/// Server to node, node to worker: a round to do. With network.overlap the version is also the
/// reply to the round before the last, to be taken over in the round that the worker computes.
struct assign_round {
  assignment work;
  version_ptr base;     // as the worker has it; null: it goes on from what it has
  version_ptr encoded;  // the bytes that travel, in a buffer; null: `base` as it is
  std::shared_ptr<const inner_state> inner;   // to begin with; null: what the worker has
  std::optional<std::uint32_t> steps_before;  // of assign_action
};

/// What a finished round brings back.
struct submission {
  arrival update;
  version_ptr delta;    // theta_base - theta_end, or the gradient, by the round's kind; and what
                        // averaged tensors ended with (optim/merger.hpp)
  version_ptr encoded;  // the same as it travels, bytes in a buffer (transfer/buffer_coding.hpp);
                        // null with network.codec_up = "f32", otherwise delta is; before the
                        // server has looked at it, norm and finite in `update` are not said
  std::shared_ptr<const inner_state> inner;  // after the round, with inner.state = "average"
  round_measures took;
};

/// Worker to server. A worker has at most one that is not settled, two with network.overlap.
struct submit_update {
  std::shared_ptr<const submission> content;
};

/// Worker to itself: the time has come to hand in the update that was held up.
struct hand_in {
  update_id round;
};

/// Server to node, node to worker and lanes: the fate of a round; its worker may forget its update,
/// and who still computes it may stop.
struct update_settled {
  update_id id;
  fate what;
};

// -- checkpoints --------------------------------------------------------------------------------

struct snapshot;  // recovery/snapshot.hpp
struct worker_snapshot;

/// Server to node, node to worker: say where you are, as it was after all that you were told before
/// this. `held`: from the node, which has held the worker's round back before a lane began it.
struct capture_worker {
  worker_id worker;
  bool held;
};

/// Worker to server, server to recorder. Until that is written the worker begins no round, for its
/// inner state is not copied.
struct worker_captured {
  std::shared_ptr<const worker_snapshot> content;
};

/// Recorder to server, server to node, node to worker: it is written, go on.
struct capture_written {
  worker_id worker;
};

/// Server to recorder: write a checkpoint of this; so many workers will say where they are. What it
/// does not hold begins with this record of the journal.
struct begin_checkpoint {
  std::shared_ptr<const snapshot> run;
  std::uint64_t version;
  std::uint64_t workers;
  std::uint64_t record;
};

/// Recorder to itself: write some more of the checkpoint, if nothing else is to be done before.
struct write_slice {};

/// Recorder to server: the checkpoint is on the disk.
struct checkpoint_written {};

/// Server to node, node to worker, before anything else: go on from here.
struct restore_worker {
  std::shared_ptr<const worker_snapshot> content;
};

// -- node <-> lane ------------------------------------------------------------------------------

/// With network.overlap: a version that a round is to take over (model/local_round.hpp).
struct version_reply {
  version_ptr version;
  std::uint64_t number = 0;
  std::uint32_t after = 0;  // steps of the round
};

/// Worker to node: this round may run. Node to lane: run it.
struct run_round {
  assignment work;
  version_ptr base;
  inner_state_ptr inner;
  stretch ahead;                       // of `base`, to start from; null: from `base` itself
  std::optional<version_reply> reply;  // that is known already
};

/// Worker to node, node to lane: in the round that you have, this is there now.
struct take_over {
  update_id round;
  version_reply reply;
};

/// Lane to node, node to worker: the round is done and the lane is free.
struct round_finished {
  std::uint32_t lane;  // its index in the node
  std::shared_ptr<const submission> content;
  stretch went = {};     // with network.overlap: from the round's base to what it ended with, ...
  bool replied = false;  // ... and whether it took over a version
};

/// Lane to node: it has dropped a round that was settled before it was done, and is free.
struct round_dropped {
  std::uint32_t lane;
};

/// Lane to itself: take the next step of this round, if its batch is there.
struct take_step {
  update_id round;
};

// -- lane <-> data loader -----------------------------------------------------------------------

/// Lane to loader: send the batches of this round, a few ahead of the steps.
struct open_batches {
  update_id round;
  shard_id shard;
  std::uint64_t position;
  std::uint32_t count;
};

/// Loader to lane: the batches of a round come in order.
struct batch_ready {
  update_id round;
  std::shared_ptr<const batch> content;
};

/// Lane to loader: so many batches were used up, there is room for others.
struct batches_taken {
  update_id round;
  std::uint32_t count;
};

// -- server <-> evaluator, recorder -------------------------------------------------------------

/// Server to evaluator; `context` has everything but the results.
struct evaluate_version {
  version_ptr parameters;
  std::shared_ptr<const evaluation> context;
};

/// Evaluator to server, server to recorder.
struct version_evaluated {
  std::shared_ptr<const evaluation> result;
};

struct run_event;    // recovery/records.hpp
struct journal_end;  // storage/journal_reader.hpp

/// Server to recorder: what has happened, all that one event led to.
struct record_events {
  std::shared_ptr<const std::vector<run_event>> content;
  std::shared_ptr<const server_reading> reading;  // after that; null unless somebody watches
};

/// Server to recorder: the journal of the run that goes on is appended to behind this end.
struct continue_journal {
  std::shared_ptr<const journal_end> end;
};

/// Server to itself, behind all that waits for it already: hand to the recorder what was recorded
/// by now. Recorder to itself, in the same way: make durable what was appended.
struct commit_records {};

/// Server to recorder: a line for the timeline.
struct record_change {
  std::shared_ptr<const worker_change_record> content;
};

/// Recorder to server: all records before this one are durable or, without a journal, taken care
/// of.
struct records_durable {
  std::uint64_t before;
};

/// Server to recorder: the run is over; write the last files.
struct record_end {
  version_ptr parameters;
  std::shared_ptr<const run_summary> summary;
};

/// Recorder to server: everything is on the disk.
struct recording_finished {};

// -- node, outside -> server --------------------------------------------------------------------

/// Node to server: these workers take part, reached through this node.
struct join_run {
  caf::strong_actor_ptr node;  // a node_actor
  std::vector<worker_id> workers;
  std::vector<worker_life> lives;  // of some of these: what they have from before
};

/// Courier to server: these workers take part no more; at once, or, with `after_rounds`, when they
/// have handed in what they are at, getting nothing else.
struct leave_run {
  caf::strong_actor_ptr node;  // the courier
  std::vector<worker_id> workers;
  bool after_rounds;
};

/// Server to courier: there will be no more rounds for its workers.
struct no_more_rounds {};

/// Gate, courier to server: a line for whoever watches the run.
struct remark {
  std::string text;
};

/// From outside to the gate, gate to couriers: the run is over, say so to the nodes.
struct close_gate {
  bool resumable;  // it will go on later
};

/// Courier to itself: time has come to its deadline.
struct courier_tick {};

/// Server courier to itself: unless something has come of this attempt to reach the server, the
/// next one is due.
struct try_again {
  std::uint64_t attempt;
};

struct run_context;  // actors/context.hpp

/// Server courier to preparer: make what these settings of the run say.
struct prepare_run {
  override_list settings;
};

/// Preparer to server courier: for these settings, one of the two.
struct run_prepared {
  override_list settings;
  std::shared_ptr<const run_context> run;
  std::exception_ptr error;
};

/// Server to itself, on the wall clock: the time of an event has come.
struct clock_ticked {
  run_time time;
};

/// From outside: end the run cleanly.
struct stop_run {};

}  // namespace rubato

CAF_BEGIN_TYPE_ID_BLOCK(rubato_local, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(rubato_local, (rubato::assign_round))
CAF_ADD_TYPE_ID(rubato_local, (rubato::submit_update))
CAF_ADD_TYPE_ID(rubato_local, (rubato::hand_in))
CAF_ADD_TYPE_ID(rubato_local, (rubato::update_settled))
CAF_ADD_TYPE_ID(rubato_local, (rubato::capture_worker))
CAF_ADD_TYPE_ID(rubato_local, (rubato::worker_captured))
CAF_ADD_TYPE_ID(rubato_local, (rubato::capture_written))
CAF_ADD_TYPE_ID(rubato_local, (rubato::begin_checkpoint))
CAF_ADD_TYPE_ID(rubato_local, (rubato::write_slice))
CAF_ADD_TYPE_ID(rubato_local, (rubato::checkpoint_written))
CAF_ADD_TYPE_ID(rubato_local, (rubato::restore_worker))
CAF_ADD_TYPE_ID(rubato_local, (rubato::run_round))
CAF_ADD_TYPE_ID(rubato_local, (rubato::take_over))
CAF_ADD_TYPE_ID(rubato_local, (rubato::round_finished))
CAF_ADD_TYPE_ID(rubato_local, (rubato::round_dropped))
CAF_ADD_TYPE_ID(rubato_local, (rubato::take_step))
CAF_ADD_TYPE_ID(rubato_local, (rubato::open_batches))
CAF_ADD_TYPE_ID(rubato_local, (rubato::batch_ready))
CAF_ADD_TYPE_ID(rubato_local, (rubato::batches_taken))
CAF_ADD_TYPE_ID(rubato_local, (rubato::evaluate_version))
CAF_ADD_TYPE_ID(rubato_local, (rubato::version_evaluated))
CAF_ADD_TYPE_ID(rubato_local, (rubato::record_events))
CAF_ADD_TYPE_ID(rubato_local, (rubato::continue_journal))
CAF_ADD_TYPE_ID(rubato_local, (rubato::commit_records))
CAF_ADD_TYPE_ID(rubato_local, (rubato::record_change))
CAF_ADD_TYPE_ID(rubato_local, (rubato::records_durable))
CAF_ADD_TYPE_ID(rubato_local, (rubato::record_end))
CAF_ADD_TYPE_ID(rubato_local, (rubato::recording_finished))
CAF_ADD_TYPE_ID(rubato_local, (rubato::join_run))
CAF_ADD_TYPE_ID(rubato_local, (rubato::leave_run))
CAF_ADD_TYPE_ID(rubato_local, (rubato::no_more_rounds))
CAF_ADD_TYPE_ID(rubato_local, (rubato::remark))
CAF_ADD_TYPE_ID(rubato_local, (rubato::close_gate))
CAF_ADD_TYPE_ID(rubato_local, (rubato::courier_tick))
CAF_ADD_TYPE_ID(rubato_local, (rubato::try_again))
CAF_ADD_TYPE_ID(rubato_local, (rubato::prepare_run))
CAF_ADD_TYPE_ID(rubato_local, (rubato::run_prepared))
CAF_ADD_TYPE_ID(rubato_local, (rubato::clock_ticked))
CAF_ADD_TYPE_ID(rubato_local, (rubato::stop_run))
CAF_END_TYPE_ID_BLOCK(rubato_local)

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::assign_round)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::submit_update)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::hand_in)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::update_settled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::capture_worker)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::worker_captured)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::capture_written)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::begin_checkpoint)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::write_slice)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::checkpoint_written)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::restore_worker)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::run_round)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::take_over)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::round_finished)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::round_dropped)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::take_step)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::open_batches)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::batch_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::batches_taken)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::evaluate_version)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::version_evaluated)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::record_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::continue_journal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::commit_records)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::record_change)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::records_durable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::record_end)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::recording_finished)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::join_run)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::leave_run)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::no_more_rounds)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::remark)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::close_gate)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::courier_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::try_again)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::prepare_run)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::run_prepared)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::clock_ticked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(rubato::stop_run)
