// The words of a run: who trains what from which version, what comes back, and what became of it.
// Plain data, shared by the coordinator, the messages and the actors.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace rubato {

using worker_id = std::uint32_t;
using shard_id = std::uint32_t;

/// Time on the run's clock since its start. Integers, because the presets sit on the boundary of
/// the grace window and 50 * 0.58 is not 29.0 in floating point.
using run_time = std::chrono::nanoseconds;

inline double to_seconds(run_time t) {
  return std::chrono::duration<double>(t).count();
}

/// Names one round of one worker, for ever. Like an assignment, it travels by value in messages, so
/// both hold integers only (messages/caf.hpp says why). A worker that was lost and comes back has a
/// new incarnation; sequences count its rounds from 0 without gaps.
struct update_id {
  worker_id worker = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t sequence = 0;

  auto operator<=>(const update_id&) const = default;
};

/// The part of a learning-rate schedule that one round walks through (see schedule.hpp).
struct rate_span {
  std::int64_t start = 0;   // steps of this schedule that were given out before
  std::int64_t total = 1;   // T: the schedule's length
  std::int64_t warmup = 0;  // steps of linear warm-up

  bool operator==(const rate_span&) const = default;
};

/// A change to a worker that is known beforehand. Ordered by time; at the same time a pace changes
/// before anybody leaves, and who leaves does so before anybody comes back.
struct worker_change {
  enum class kind : std::uint8_t { pace, leave, join };

  run_time at{0};
  kind what = kind::pace;
  worker_id worker = 0;

  auto operator<=>(const worker_change&) const = default;
};

/// How long the parts of a round take where paces and links are simulated.
struct round_timing {
  run_time download{0};
  run_time compute{0};
  run_time upload{0};

  run_time total() const { return download + compute + upload; }
  bool operator==(const round_timing&) const = default;
};

/// What a round brings back.
enum class round_kind : std::uint8_t {
  local,     // a pseudo-gradient, of local steps
  rescaled,  // the same, at a learning rate times inner.local_scale
  gradient,  // the gradient of one batch, for the server to take the step with
};

std::string_view to_string(round_kind kind);

/// One round of work: which version to start from, which batches, how many steps.
struct assignment {
  update_id id{};
  std::uint64_t base_version = 0;
  shard_id shard = 0;
  std::uint64_t data_position = 0;  // the shard's first batch of this round
  std::uint32_t steps = 0;
  round_kind kind = round_kind::local;
  bool handover = false;  // begin with the server's optimizer state: the one before was a gradient
  rate_span rates{};
  run_time assigned_at{0};
  round_timing timing{};  // zero where nothing is simulated

  /// When its steps begin and are done, and when it is handed in.
  run_time begun() const { return assigned_at + timing.download; }
  run_time computed() const { return begun() + timing.compute; }
  run_time due() const { return assigned_at + timing.total(); }
  bool operator==(const assignment&) const = default;
};

/// What a worker says about the update it hands in; the parameters travel beside it.
struct arrival {
  update_id id{};
  std::uint64_t base_version = 0;
  std::uint64_t elements = 0;                              // floats of the pseudo-gradient
  bool finite = true;                                      // no NaN, no infinity in it
  double norm = std::numeric_limits<double>::quiet_NaN();  // L2 norm of the pseudo-gradient
  double loss =
      std::numeric_limits<double>::quiet_NaN();  // mean training loss of the round, nats per token
  run_time compute_time{0};                      // on the run's clock, transfers left out
  run_time late{0};  // wall clock, throttled: finished this long after it was due
};

/// What became of an update. Exactly one for each round that was ever assigned, and one more,
/// `duplicate` or `stale_incarnation`, for each update that arrives after its round was settled.
/// Journals keep the numbers, so new ones go to the end.
enum class fate : std::uint8_t {
  applied,            // merged into a version
  duplicate,          // settled before: acknowledged again, never applied
  unknown_worker,     // nobody of that name joined
  stale_incarnation,  // its sender was declared lost in the meantime
  not_assigned,       // a sequence that was never given out
  wrong_base,         // not the base version of the assignment
  wrong_size,         // not the model's size
  not_finite,         // NaN or infinity in it
  too_stale,          // staler than staleness.limit
  abandoned,          // the worker was lost before it handed in
  run_ended,          // still in flight when the run ended
  outlier,            // far longer than usual, see outer.norm_guard
};

std::string_view to_string(fate f);

/// Whether an update with this fate answered no round in flight, so that none is settled with it:
/// its round, if there is one, may still be waiting to be merged.
bool settles_no_round(fate what);

/// A line of the ledger: everything there is to know about one settled round.
struct update_record {
  assignment work;
  arrival update;
  fate what = fate::applied;
  std::uint64_t version = 0;    // after settling
  std::uint64_t staleness = 0;  // since the round was assigned, in staleness.unit
  double weight = 0.0;          // what the pseudo-gradient was multiplied with
  std::int64_t tokens = 0;      // of the assigned steps
  run_time settled_at{0};
  // The server measures these.
  double cosine_to_momentum = std::numeric_limits<double>::quiet_NaN();
  double cosine_to_others = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace rubato
