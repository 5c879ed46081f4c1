// What a run says about itself while it goes on, in more detail than run_observer: for metrics and
// the live page. Who has something to say is given a probe and knows nothing of what becomes of it;
// tests give one of their own. Times are seconds on the run's clock unless it says "real".
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "monitoring/observer.hpp"

namespace rubato {

/// A worker was given a round.
struct round_begun {
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t base = 0;   // version
  std::uint32_t steps = 0;  // its quota
  double time = 0.0;
};

/// A round has its fate: a line of updates.jsonl, and what else is known of it.
struct round_ended {
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t sequence = 0;
  std::string_view fate;  // of static storage
  std::uint64_t base = 0;
  std::uint64_t version = 0;  // after it
  std::uint64_t staleness = 0;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  double loss = 0.0;                // training loss of the round, nats per token or point; may be
  double norm = 0.0;                // NaN, as this
  double cosine_to_momentum = 0.0;  // NaN: none
  double cosine_to_others = 0.0;    // NaN: none
  double assigned = 0.0;
  double computed = 0.0;  // how long its steps took
  double received = 0.0;  // how long the version travelled, if links are simulated or real, ...
  double sent = 0.0;      // ... and the update
  double settled = 0.0;
  double data_wait = 0.0;  // real: without a batch to work on
};

/// The state of the server after an event.
struct server_reading {
  double time = 0.0;
  std::uint64_t workers = 0;          // that take part
  std::uint64_t workers_waiting = 0;  // of these, for the end of the window
  bool window_open = false;
  std::uint64_t updates_waiting = 0;      // arrived, not settled
  std::uint64_t evaluations_waiting = 0;  // versions
  std::uint64_t records_waiting = 0;      // for the disk
  std::uint64_t bytes_down = 0;           // since the beginning of the run
  std::uint64_t bytes_up = 0;
  double momentum_norm = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> merges;  // since the last reading: how long each took, real
};

/// Told by the recorder. All calls come from one thread at a time, in the order in which things
/// happened; what a run that goes on does again is told again. They must not throw and should be
/// quick, for the journal waits for them.
class run_probe {
 public:
  virtual ~run_probe() = default;
  /// The run's files are open, with all that was there before.
  virtual void began(const run_plan&) {}
  virtual void assigned(const round_begun&) {}
  virtual void settled(const round_ended&) {}
  /// A worker is fenced: it was lost or has left.
  virtual void worker_gone(std::uint32_t) {}
  virtual void read(const server_reading&) {}
  virtual void evaluated(const evaluation&) {}
  virtual void worker_changed(const worker_change_record&) {}
  /// So many bytes of updates wait for the disk; the first of them since the last commit.
  virtual void journal_waits(std::size_t) {}
  /// All that waited is durable, after so many real seconds.
  virtual void journal_committed(double) {}
  /// A checkpoint of this version is on the disk.
  virtual void checkpointed(std::uint64_t) {}
  virtual void ended(const run_summary&) {}
};

/// What the lanes of this process do. They count, whoever reads does the rest. Thread-safe.
struct lane_activity {
  std::atomic<std::uint64_t> steps{0};                // taken
  std::atomic<std::uint64_t> running{0};              // rounds
  std::atomic<std::uint64_t> compute_nanoseconds{0};  // of finished rounds, real, data left out
  std::atomic<std::uint64_t> waiting_nanoseconds{0};  // of these, real: without a batch
};

/// What a link between two processes has done since it was opened.
struct link_reading {
  std::uint64_t sent_again = 0;   // chunks that this end had to send another time
  std::uint64_t asked_again = 0;  // times that this end asked for what had not come
};

/// Told by couriers, each of its own link. Thread-safe.
class link_probe {
 public:
  virtual ~link_probe() = default;
  /// On a node: what the run that it takes part in is called.
  virtual void takes_part(const std::string& run) = 0;
  /// A sign of life of the other end, whose name is for people.
  virtual void heard(const std::string& peer, const link_reading& reading) = 0;
  /// The link is of no use any more; unless it was never heard of.
  virtual void lost(const std::string& peer) = 0;
};

}  // namespace rubato
