// The interface of every actor, one line a handler. Start reading here.
//
//   run ── server ──┬── evaluator       node ──┬── workers (one each)
//                   └── recorder               ├── lanes   (threads that compute)
//                                              └── data loader
//
// A parent is linked to its children: whichever dies with an error takes the others along, and
// the run ends with its reason. The server watches who takes part.
//
// Where nodes are on other machines, couriers stand between, one at either end of each link:
//
//   server ── gate ── node courier  ~ ~ ~  server courier ── node ── ...
//
// A node courier does for the server what a node does, a server courier for the node what the
// server does; neither of those knows the difference.
#pragma once

#include "messages/local.hpp"
#include "messages/wire.hpp"

namespace rubato {

// clang-format off

/// Writes the run directory. Detached: disks may be slow.
using recorder_actor = actor_interface<
    takes<record_events>,       // append them to the journal, and lines to updates.jsonl
    takes<continue_journal>,    // go on with the one that is there
    takes<commit_records>,      // from itself: answer records_durable
    takes<version_evaluated>,   // append a line to metrics.jsonl
    takes<record_change>,       // the same, about a worker
    takes<begin_checkpoint>,    // write it, slice by slice, answer checkpoint_written
    takes<worker_captured>,     // a part of it; answer capture_written when that is on its way
    takes<write_slice>,         // from itself
    takes<record_end>>;         // write parameters and summary, answer recording_finished

/// Measures versions on the held-out data. Detached.
using evaluator_actor = actor_interface<
    takes<evaluate_version>>;   // answers version_evaluated

/// Prepares batches ahead of the lanes. Detached.
using data_loader_actor = actor_interface<
    takes<open_batches>,        // begin to send a round's batches to the sender
    takes<batches_taken>,       // send as many more
    takes<update_settled>>;     // from a lane: send no more of this round

/// Runs the inner steps of one round at a time. Detached; owns network, gradients and scratch.
using lane_actor = actor_interface<
    takes<run_round>,           // from the node; after those that it has, if any
    takes<batch_ready>,         // from the data loader
    takes<take_step>,           // from itself: one step a message, so that it answers in between
    takes<take_over>,           // from the node: a version for the round, if it is this one
    takes<update_settled>>;     // from the node: drop the round, if it is this one

/// One logical worker: its assignment, its inner-optimizer state, its submission.
using worker_actor = actor_interface<
    takes<assign_round>,        // from the server, by way of the node
    takes<round_finished>,      // from the node: hand the update in, or hold it until it is due
    takes<hand_in>,             // from itself: it is due
    takes<update_settled>,      // from the server, by way of the node: forget the update
    takes<capture_worker>,      // the same: answer worker_captured, now or after the round
    takes<capture_written>,     // the same: go on
    takes<restore_worker>>;     // the same: go on from a checkpoint

/// What the server sees of a node.
using participant_actor = actor_interface<
    takes<assign_round>,        // a round for one of its workers
    takes<update_settled>,      // what became of one
    takes<capture_worker>,      // say where a worker is, answer worker_captured
    takes<capture_written>,     // that is written
    takes<restore_worker>>;     // a worker goes on from a checkpoint

/// What a node and its workers see of the server.
using host_actor = actor_interface<
    takes<join_run>,            // from a node
    takes<submit_update>,       // from a worker
    takes<worker_captured>>;    // from a worker

/// One per process: its workers, its lanes and the queue of rounds between them.
using node_actor = actor_interface<
    takes<assign_round>,        // to the worker it names
    takes<update_settled>,      // to the worker it names; nobody need compute the round now
    takes<run_round>,           // from a worker: queue for a lane, earliest due first
    takes<take_over>,           // from a worker: to the lane that has the round, or the queue
    takes<round_finished>,      // from a lane: pass on, give the lane its next round
    takes<round_dropped>,       // from a lane: give it its next round
    takes<capture_worker>,      // to the worker it names, whose round waits if no lane has begun it
    takes<capture_written>,     // to the worker it names, whose round need not wait any more
    takes<restore_worker>>;     // to the worker it names

/// Owns the coordinator and the current version. Detached: a merge takes long.
using server_actor = actor_interface<
    takes<join_run>,            // from a node
    takes<leave_run>,           // from a courier, whose node leaves or is lost
    takes<submit_update>,       // from a worker
    takes<version_evaluated>,   // from the evaluator
    takes<commit_records>,      // from itself: hand what happened to the recorder
    takes<records_durable>,     // from the recorder: what follows from these may leave
    takes<worker_captured>,     // from a worker, to the recorder
    takes<capture_written>,     // from the recorder, to the worker's node
    takes<checkpoint_written>,  // from the recorder
    takes<recording_finished>,  // from the recorder
    takes<clock_ticked>,        // from itself
    takes<remark>,              // from the gate and couriers, for whoever watches the run
    takes<stop_run>>;           // from outside

// -- across machines ----------------------------------------------------------------------------

/// At the server: takes nodes in, and gives each a courier. The one actor that others can reach
/// without having been told of it.
using gate_actor = actor_interface<
    takes<hello>,               // from a node: answer refused, or have a courier answer welcome
    takes<close_gate>>;         // from outside: tell all nodes, and end when they know

/// At the server, in place of a node. Detached: it checks and decodes what comes.
using node_courier_actor = actor_interface<
    takes<assign_round>,        // from the server, as a node; and so on
    takes<update_settled>,
    takes<capture_worker>,
    takes<capture_written>,
    takes<restore_worker>,
    takes<no_more_rounds>,      // the answer to leave_run
    takes<close_gate>,          // from the gate: say so to the node, and end
    takes<courier_tick>,        // from itself
    takes<node_ready>,          // over the link, as are all below
    takes<update_announced>,
    takes<heartbeat>,
    takes<goodbye>,
    takes<transfer_offer>,
    takes<transfer_chunk>,
    takes<transfer_cancel>,
    takes<transfer_credit>,
    takes<transfer_verdict>>;

/// At a node, in place of the server. Detached, as above. It finds the server, and finds it again;
/// it starts the node and ends it.
using server_courier_actor = actor_interface<
    takes<join_run>,            // from the node, as the server; and so on
    takes<submit_update>,
    takes<worker_captured>,
    takes<run_prepared>,        // from the preparer
    takes<try_again>,           // from itself
    takes<courier_tick>,        // from itself
    takes<stop_run>,            // from outside: leave politely
    takes<refused>,             // over the link, as are all below
    takes<welcome>,
    takes<round_assigned>,
    takes<round_settled>,
    takes<heartbeat>,
    takes<goodbye>,
    takes<transfer_offer>,
    takes<transfer_chunk>,
    takes<transfer_cancel>,
    takes<transfer_credit>,
    takes<transfer_verdict>>;

/// At a node: loads data and builds the model for a run, then ends. Detached: that takes long.
using preparer_actor = actor_interface<
    takes<prepare_run>>;        // answer run_prepared

// clang-format on

}  // namespace rubato
