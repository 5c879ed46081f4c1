// What a run tells the outside world while it goes on and when it ends: plain records and the
// interface that receives them. Times are seconds since the start of the run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rubato {

/// How well a simple model of the same data does on the held-out part.
struct baseline_result {
  std::string name;  // "unigram"
  double bits_per_byte = 0.0;
};

/// Said once, before the first assignment.
struct run_plan {
  std::string name;
  std::string directory;
  std::string method;  // "async delayed-nesterov, dylu"
  std::string clock;   // "virtual" or "wall"
  bool paced = true;   // the workers' paces are simulated or, on the wall clock, kept to
  std::int64_t parameters = 0;
  struct parameter_part {
    std::string name;  // "token embedding"
    std::int64_t count = 0;
  };
  std::vector<parameter_part> parameter_parts;  // what these are; they add up to `parameters`
  std::int64_t local_steps = 0;                 // the budget
  std::int64_t threads = 0;                     // lanes: workers that compute at the same time
  std::int64_t threads_per_lane = 1;            // of LibTorch
  std::int64_t other_threads = 0;               // for everything but the workers' steps
  std::string blas;                       // the library that multiplies matrices, and its kernels
  std::string precision;                  // of the products in a local step: "f32" or "bf16"
  std::string unit = "token";             // learned from: "token", "point", "image", "example"
  std::string evaluated_on = "held-out";  // or "training", as evaluate.on
  std::vector<std::string> events;        // what will happen to workers, as in workers.events
  bool open = false;                      // workers are on other machines, and come and go
  struct worker {
    double seconds_per_step = 0.0;  // if paced
    std::int64_t quota = 0;         // steps of its first round
  };
  std::vector<worker> workers;
  struct shard {
    std::string name;
    std::uint64_t training_size = 0;  // bytes of text, or points
    std::uint64_t held_out_size = 0;
    std::size_t files = 0;
    std::size_t duplicates = 0;  // files left out
  };
  std::vector<shard> shards;
  std::vector<std::string> data_notes;     // what a person should know of the data, a sentence each
  std::vector<baseline_result> baselines;  // empty if not asked for
};

/// The state of a run, sent for each applied update as soon as it is certain: with a journal, when
/// it is durable there. This may come after the state has moved on.
struct progress {
  // The update, as in updates.jsonl.
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::uint64_t sequence = 0;
  // And how far the run was with it.
  std::int64_t local_steps = 0;
  std::uint64_t version = 0;
  double clock_seconds = 0.0;  // on the run's clock (virtual or wall)
  double wall_seconds = 0.0;
  double loss = 0.0;       // training loss of recent rounds, nats per token or point
  double staleness = 0.0;  // mean over recent updates
  std::int64_t tokens = 0;
};

/// One evaluation of a version on the data that evaluate.on names, shards weighted by
/// data.shard_weights.
struct evaluation {
  std::uint64_t version = 0;
  std::int64_t local_steps = 0;
  std::int64_t tokens = 0;
  double clock_seconds = 0.0;
  double wall_seconds = 0.0;
  double loss = 0.0;           // nats per token or point
  double perplexity = 0.0;     // exp(loss)
  double bits_per_byte = 0.0;  // NaN where there is no text
  double accuracy = 0.0;       // top-1, 0..1; NaN where a model of one's own does not tell
  // The right class is among the five most likely, 0..1; NaN but for images of more classes.
  double top5 = std::numeric_limits<double>::quiet_NaN();
  std::map<std::string, double> metrics;  // that a model of one's own returns
  std::vector<double> shard_loss;
  std::vector<std::int64_t> quotas;  // steps that each worker would get now; 0: it is away
};

/// Something happened to a worker: what it was, and what it means for the rounds to come.
struct worker_change_record {
  double clock_seconds = 0.0;
  std::uint32_t worker = 0;
  std::string what;               // "pace", "leave" or "join"
  double seconds_per_step = 0.0;  // from now on; 0: it pauses; NaN where no pace is kept to
  std::int64_t quota = 0;         // steps that it would get now; 0: it is away
};

struct staleness_summary {
  double mean = 0.0;
  std::uint64_t p50 = 0;
  std::uint64_t p99 = 0;
  std::uint64_t max = 0;
};

/// The content of summary.json (a contract, see docs/run-directory.md).
struct run_summary {
  std::string method;
  std::uint64_t seed = 0;
  std::string clock;
  std::string outcome;  // finished | interrupted | diverged
  std::int64_t parameters = 0;
  std::int64_t workers = 0;
  std::int64_t local_steps = 0;
  std::int64_t tokens = 0;
  double epochs = 0.0;  // tokens by the size of the training data
  std::uint64_t server_version = 0;
  std::string unit = "token";             // what is learned from: "token", "point" or "image"
  std::string evaluated_on = "held-out";  // or "training", as evaluate.on
  std::string precision;                  // "f32" or "bf16"
  double wall_seconds = 0.0;              // from the start to the end of the last evaluation
  double clock_seconds = 0.0;             // from the start to the last update, on the run's clock
  double virtual_seconds = 0.0;           // the same on the virtual clock; NaN on the wall clock
  double tokens_per_second = 0.0;         // of wall time
  double utilisation = 0.0;               // share of worker time on the run's clock in inner steps
  double data_wait = 0.0;                 // share of real time in rounds without a batch to work on
  staleness_summary staleness;
  struct {
    std::uint64_t applied = 0;
    std::uint64_t stale = 0;  // dropped for their staleness
    std::uint64_t rejected = 0;
    std::uint64_t duplicate = 0;
    std::uint64_t run_ended = 0;  // rounds in flight when the budget was used up
    std::uint64_t abandoned = 0;  // rounds of workers that left
    std::map<std::string, std::uint64_t> rejected_as;  // those rejected, by fate
  } updates;
  /// Rounds that the lanes finished after they were due, with workers.throttle.
  struct {
    std::uint64_t rounds = 0;
    double mean_seconds = 0.0;  // of these
    double max_seconds = 0.0;
  } late;
  /// On the wall clock, evaluations that were due while the evaluator was still busy.
  std::uint64_t evaluations_skipped = 0;
  /// On the wall clock: how many times a worker went on, after a kill, with an inner state from
  /// before its last rounds.
  std::uint64_t inner_states_behind = 0;
  struct {
    std::uint64_t down = 0;
    std::uint64_t up = 0;
    std::uint64_t within_groups = 0;  // of both: for groups that averaged among themselves
    // Payload that crossed between machines, repetitions included; 0 in one process.
    std::uint64_t wire_down = 0;
    std::uint64_t wire_up = 0;
  } bytes;
  std::optional<evaluation> final;
  std::optional<evaluation> best;
  std::optional<std::uint64_t> last_finite_version;  // the newest whose evaluation gave a number
  std::string params_sha256;
  struct worker {
    double seconds_per_step = 0.0;  // as given if paced, else measured (0: it finished no round)
    std::int64_t rounds = 0;
    std::int64_t local_steps = 0;
    double utilisation = 0.0;
  };
  std::vector<worker> per_worker;
  std::vector<std::string> data_notes;  // as in run_plan, of all that was read
  std::vector<baseline_result> baselines;
  std::string directory;
};

/// Receives the events of a run; all calls come from one thread at a time. Must not throw and must
/// not block for long: the server waits for it.
class run_observer {
 public:
  virtual ~run_observer() = default;
  virtual void started(const run_plan&) {}
  virtual void progressed(const progress&) {}
  virtual void evaluated(const evaluation&) {}
  virtual void worker_changed(const worker_change_record&) {}
  /// A sentence about machines that come and go.
  virtual void remarked(const std::string&) {}
};

}  // namespace rubato
