// The interface of every actor, one line a handler. Start reading here.
//
//   run ── server ──┬── evaluator       node ──┬── workers (one each)
//                   └── recorder               ├── lanes   (threads that compute)
//                                              └── data loader
//
// A parent is linked to its children: whichever dies with an error takes the others along, and
// the run ends with its reason. The server watches the node, which may one day be remote.
#pragma once

#include "messages/local.hpp"

namespace rubato {

// clang-format off

/// Writes the run directory. Detached: disks may be slow.
using recorder_actor = actor_interface<
    takes<record_update>,       // append a line to updates.jsonl
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
    takes<run_round>,           // from the node; only when free
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
    takes<submit_update>,       // from a worker
    takes<version_evaluated>,   // from the evaluator
    takes<records_taken>,       // from the recorder, which must not fall far behind
    takes<worker_captured>,     // from a worker, to the recorder
    takes<capture_written>,     // from the recorder, to the worker's node
    takes<checkpoint_written>,  // from the recorder
    takes<recording_finished>,  // from the recorder
    takes<clock_ticked>,        // from itself
    takes<stop_run>>;           // from outside

// clang-format on

}  // namespace rubato
