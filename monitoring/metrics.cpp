#include "monitoring/metrics.hpp"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "monitoring/process_usage.hpp"

namespace rubato {
namespace {

using kind = metric_kind;

constexpr std::string_view when_served = "with `rubato serve` and `rubato work`";
constexpr std::string_view after_evaluation = "after the first evaluation";
constexpr std::string_view after_update = "after the first update";

constexpr metric_description catalogue[] = {
    // -- the run
    {"rubato_build_info", kind::gauge, "version, compiler",
     "The program; always 1, the labels say it.", ""},
    {"rubato_run_info", kind::gauge, "method, clock, model_unit, precision, directory",
     "The run's settings in words; always 1, the labels say it.", "in a run's own process"},
    {"rubato_parameters", kind::gauge, "", "Trainable parameters of the model.", ""},
    {"rubato_budget_steps", kind::gauge, "",
     "Local steps after which the run ends (run.local_steps).", ""},
    {"rubato_run_ended", kind::gauge, "", "1 once the run has ended, else 0.", ""},
    {"rubato_run_seconds", kind::gauge, "",
     "Time on the run's clock (simulated on the virtual one) of the newest event.", ""},

    // -- learning
    {"rubato_training_loss_nats", kind::gauge, "",
     "Training loss of recent rounds (a moving mean), nats per token, point or image. NaN if "
     "the last one's was.",
     after_update},
    {"rubato_evaluation_loss_nats", kind::gauge, "",
     "Loss of the newest evaluated version on the evaluation data. NaN if it diverged.",
     after_evaluation},
    {"rubato_evaluation_perplexity", kind::gauge, "", "e to the evaluation loss.",
     after_evaluation},
    {"rubato_evaluation_accuracy_ratio", kind::gauge, "",
     "Share of right predictions in the newest evaluation, 0 to 1.", after_evaluation},
    {"rubato_evaluations_total", kind::counter, "", "Versions that were evaluated.", ""},
    {"rubato_tokens_total", kind::counter, "worker",
     "Tokens (or points, or images) of rounds that arrived, repetitions included.", ""},
    {"rubato_local_steps_total", kind::counter, "worker", "Local steps of rounds that arrived.",
     ""},

    // -- updates
    {"rubato_server_version", kind::gauge, "", "How many times the parameters have changed.", ""},
    {"rubato_updates_total", kind::counter, "fate",
     "Rounds by what became of them: applied, or why not.", ""},
    {"rubato_update_staleness_versions", kind::histogram, "worker",
     "Staleness of applied updates: versions made since their round was given out.", ""},
    {"rubato_staleness_limit_versions", kind::gauge, "",
     "Updates that are staler are dropped (staleness.limit).", "if staleness.limit is set"},
    {"rubato_update_norm", kind::gauge, "", "L2 norm of the newest applied pseudo-gradient.",
     after_update},
    {"rubato_momentum_norm", kind::gauge, "", "L2 norm of the outer optimizer's momentum.",
     "for optimizers with momentum"},
    {"rubato_update_momentum_cosine", kind::histogram, "",
     "Cosine between an update and the momentum before it was merged: 1 the same way, 0 sideways, "
     "-1 back.",
     ""},
    {"rubato_update_age_seconds", kind::gauge, "",
     "Real time since the last applied update, or since the run began.", ""},
    {"rubato_update_interval_seconds", kind::gauge, "",
     "Real time between applied updates, a moving mean.", "after the second update"},

    // -- workers
    {"rubato_workers", kind::gauge, "", "Workers that take part now.", ""},
    {"rubato_workers_configured", kind::gauge, "", "Workers that there can be (workers.count).",
     ""},
    {"rubato_workers_gone_total", kind::counter, "",
     "How many times a worker was lost, left, or was taken out by workers.events.", ""},
    {"rubato_worker_quota_steps", kind::gauge, "worker",
     "Local steps of the worker's newest round.", ""},
    {"rubato_worker_speed_steps_per_second", kind::gauge, "worker",
     "Local steps a second in the worker's last round, on the run's clock.", ""},
    {"rubato_worker_base_version", kind::gauge, "worker",
     "The version that the worker's newest round started from.", ""},
    {"rubato_worker_active", kind::gauge, "worker",
     "1 while the worker has a round, 0 while it waits for one or is away.", ""},
    {"rubato_worker_state_seconds_total", kind::counter, "worker, state",
     "The worker's time on the run's clock: compute, send (transfers both ways, over links that "
     "are simulated or lead to another process), load (waiting for data; wall clock), wait "
     "(everything else).",
     ""},
    {"rubato_window_open", kind::gauge, "", "1 while workers that arrived wait for others.", ""},
    {"rubato_window_workers", kind::gauge, "", "Workers that wait for the window's end.", ""},

    // -- server
    {"rubato_merge_seconds", kind::histogram, "",
     "Real time of one step of the outer optimizer, with all that belongs to a merge.", ""},
    {"rubato_merge_bytes_total", kind::counter, "",
     "Bytes of pseudo-gradients that were merged; divided by the sum of rubato_merge_seconds, the "
     "bandwidth.",
     ""},
    {"rubato_transfer_bytes_total", kind::counter, "direction, codec",
     "Bytes of parameters sent, since the beginning of the run: down to workers, up to the server.",
     ""},
    {"rubato_transfer_seconds_total", kind::counter, "direction, codec",
     "Time of these transfers on the run's clock, of each worker's by itself: simulated, or over a "
     "link to another process; 0 within one.",
     ""},
    {"rubato_transfer_retries_total", kind::counter, "direction",
     "Chunks that had to be sent another time, and times that a receiver asked again after "
     "silence.",
     when_served},
    {"rubato_queue_length", kind::gauge, "queue",
     "What waits at the server: updates (for their turn), evaluations (versions), records (for the "
     "disk).",
     ""},
    {"rubato_journal_lag_seconds", kind::gauge, "",
     "Real time that the oldest record that is not durable has waited; 0: none waits.",
     "with journal.enabled"},
    {"rubato_journal_waiting_bytes", kind::gauge, "", "Bytes of updates that wait for the disk.",
     "with journal.enabled"},
    {"rubato_journal_commit_seconds", kind::histogram, "",
     "Real time of making a group of records durable.", "with journal.enabled"},
    {"rubato_checkpoint_age_seconds", kind::gauge, "",
     "Real time since the last checkpoint was written, or since the run began.",
     "with checkpoint.every_versions"},
    {"rubato_checkpoint_version", kind::gauge, "", "Version of the last checkpoint.",
     "with checkpoint.every_versions"},

    // -- links
    {"rubato_peers", kind::gauge, "",
     "Other processes that this one has a link to: a server's nodes, or a node's server.",
     when_served},
    {"rubato_peer_heartbeat_age_seconds", kind::gauge, "peer",
     "Real time since a sign of life of the peer; of the first 64 peers.", when_served},

    // -- lanes and the process
    {"rubato_lane_steps_total", kind::counter, "", "Local steps that this process has computed.",
     ""},
    {"rubato_lane_rounds", kind::gauge, "", "Rounds that this process computes now.", ""},
    {"rubato_lane_seconds_total", kind::counter, "state",
     "Real time of this process's finished rounds: compute, load (waiting for data).", ""},
    {"process_cpu_seconds_total", kind::counter, "", "CPU time of this process.", ""},
    {"process_resident_memory_bytes", kind::gauge, "", "Memory of this process.", ""},
    {"process_open_fds", kind::gauge, "", "Open files and sockets of this process.", ""},
    {"process_threads", kind::gauge, "", "Threads of this process.", ""},
    {"process_start_time_seconds", kind::gauge, "", "When it was started, since 1970.", ""},
};

// There from the start: Prometheus sees no increase in a series that begins with 1.
constexpr std::string_view fates_of_rounds[] = {
    "applied",    "duplicate",  "unknown_worker", "stale_incarnation", "not_assigned", "wrong_base",
    "wrong_size", "not_finite", "too_stale",      "abandoned",         "run_ended",    "outlier"};

constexpr std::string_view others = "others";  // workers from workers_with_metrics on

const std::vector<double> staleness_buckets = {0,  1,  2,  3,  4,  6,   8,   12,
                                               16, 24, 32, 48, 64, 128, 256, 1024};
const std::vector<double> cosine_buckets = {-0.75, -0.5, -0.25, -0.1, 0, 0.1, 0.25, 0.5, 0.75, 1};
const std::vector<double> merge_buckets = {1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01,
                                           0.03, 0.1,  0.3,  1,    3,    10};
const std::vector<double> commit_buckets = {1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1, 3, 10};

// Weight of the newest value in moving means.
constexpr double newest = 0.1;

using label_list = std::map<std::string, std::string>;

const metric_description& find(std::string_view name) {
  const auto found = std::find_if(std::begin(catalogue), std::end(catalogue),
                                  [&](const auto& m) { return m.name == name; });
  if (found == std::end(catalogue)) {
    throw std::logic_error(fmt::format("{} is not in the catalogue of metrics", name));
  }
  return *found;
}

const metric_description& find(std::string_view name, metric_kind wanted) {
  const auto& found = find(name);
  if (found.kind != wanted) {
    throw std::logic_error(fmt::format("{} is no {}", name, to_string(wanted)));
  }
  return found;
}

/// Makes metrics as the catalogue describes them.
class metric_factory {
  template <class Builder>
  auto& family(Builder builder, const metric_description& about) {
    return builder.Name(std::string(about.name)).Help(std::string(about.help)).Register(registry_);
  }

 public:
  auto& counters(std::string_view name) {
    return family(prometheus::BuildCounter(), find(name, kind::counter));
  }
  auto& gauges(std::string_view name) {
    return family(prometheus::BuildGauge(), find(name, kind::gauge));
  }
  auto& histograms(std::string_view name) {
    return family(prometheus::BuildHistogram(), find(name, kind::histogram));
  }

  std::vector<prometheus::MetricFamily> collect() const { return registry_.Collect(); }

 private:
  prometheus::Registry registry_;
};

/// A metric without labels of its own that is not shown before it has a value.
class late_gauge {
 public:
  explicit late_gauge(prometheus::Family<prometheus::Gauge>& family) : family_(family) {}
  void set(double value) {
    if (gauge_ == nullptr) gauge_ = &family_.Add({});
    gauge_->Set(value);
  }
  /// The old value is mixed in, if there is one that is a number.
  void move_towards(double value) {
    const bool first = gauge_ == nullptr || !std::isfinite(gauge_->Value());
    set(first ? value : gauge_->Value() + newest * (value - gauge_->Value()));
  }

 private:
  prometheus::Family<prometheus::Gauge>& family_;
  prometheus::Gauge* gauge_ = nullptr;
};

/// Makes a counter that somebody else counts come up to `total`.
void raise(prometheus::Counter& counter, double total) {
  if (total > counter.Value()) counter.Increment(total - counter.Value());
}

double seconds(std::uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) * 1e-9;
}

std::string compiler_name() {
#ifdef __clang__
  return fmt::format("clang {}.{}", __clang_major__, __clang_minor__);
#else
  return fmt::format("g++ {}.{}", __GNUC__, __GNUC_MINOR__);
#endif
}

}  // namespace

std::string_view to_string(metric_kind kind) {
  constexpr std::string_view names[] = {"counter", "gauge", "histogram"};
  return names[static_cast<std::size_t>(kind)];
}

std::span<const metric_description> metric_catalogue() {
  return catalogue;
}

// -- the metrics --------------------------------------------------------------------------------

class run_metrics::impl {
 public:
  impl(const process_facts& facts, std::function<double()> real_seconds);

  /// What one worker has. Those that share a label have the same counters, and no gauges.
  struct worker {
    prometheus::Counter* tokens;
    prometheus::Counter* local_steps;
    prometheus::Histogram* staleness;
    prometheus::Counter* compute;
    prometheus::Counter* send;
    prometheus::Counter* load;
    prometheus::Counter* wait;
    prometheus::Gauge* quota = nullptr;  // null: no gauges
    prometheus::Gauge* speed = nullptr;
    prometheus::Gauge* base = nullptr;
    prometheus::Gauge* active = nullptr;
    std::uint64_t rounds = 0;             // that are given out
    std::optional<double> waiting_since;  // on the run's clock
  };

  worker& of(std::uint32_t id);
  prometheus::Counter& updates(std::string_view fate);
  void refresh();

  // Called by one thread while another asks.
  std::mutex mutex;
  std::function<double()> real_seconds;
  process_facts facts;
  metric_factory make;

  prometheus::Family<prometheus::Counter>& tokens = make.counters("rubato_tokens_total");
  prometheus::Family<prometheus::Counter>& local_steps = make.counters("rubato_local_steps_total");
  prometheus::Family<prometheus::Histogram>& staleness =
      make.histograms("rubato_update_staleness_versions");
  prometheus::Family<prometheus::Counter>& fates = make.counters("rubato_updates_total");
  prometheus::Family<prometheus::Gauge>& quota = make.gauges("rubato_worker_quota_steps");
  prometheus::Family<prometheus::Gauge>& speed =
      make.gauges("rubato_worker_speed_steps_per_second");
  prometheus::Family<prometheus::Gauge>& base = make.gauges("rubato_worker_base_version");
  prometheus::Family<prometheus::Gauge>& active = make.gauges("rubato_worker_active");
  prometheus::Family<prometheus::Counter>& state_seconds =
      make.counters("rubato_worker_state_seconds_total");
  prometheus::Family<prometheus::Gauge>& run_info = make.gauges("rubato_run_info");

  late_gauge parameters{make.gauges("rubato_parameters")};
  late_gauge budget{make.gauges("rubato_budget_steps")};
  late_gauge workers_configured{make.gauges("rubato_workers_configured")};
  late_gauge training_loss{make.gauges("rubato_training_loss_nats")};
  late_gauge evaluation_loss{make.gauges("rubato_evaluation_loss_nats")};
  late_gauge perplexity{make.gauges("rubato_evaluation_perplexity")};
  late_gauge accuracy{make.gauges("rubato_evaluation_accuracy_ratio")};
  late_gauge staleness_limit{make.gauges("rubato_staleness_limit_versions")};
  late_gauge update_norm{make.gauges("rubato_update_norm")};
  late_gauge momentum_norm{make.gauges("rubato_momentum_norm")};
  late_gauge update_interval{make.gauges("rubato_update_interval_seconds")};
  late_gauge checkpoint_version{make.gauges("rubato_checkpoint_version")};
  late_gauge update_age{make.gauges("rubato_update_age_seconds")};
  late_gauge checkpoint_age{make.gauges("rubato_checkpoint_age_seconds")};
  late_gauge journal_lag{make.gauges("rubato_journal_lag_seconds")};
  late_gauge journal_waiting{make.gauges("rubato_journal_waiting_bytes")};

  prometheus::Gauge& run_ended = make.gauges("rubato_run_ended").Add({});
  prometheus::Gauge& run_seconds = make.gauges("rubato_run_seconds").Add({});
  prometheus::Gauge& version = make.gauges("rubato_server_version").Add({});
  prometheus::Counter& evaluations = make.counters("rubato_evaluations_total").Add({});
  prometheus::Histogram& cosine =
      make.histograms("rubato_update_momentum_cosine").Add({}, cosine_buckets);
  prometheus::Gauge& workers_now = make.gauges("rubato_workers").Add({});
  prometheus::Counter& workers_gone = make.counters("rubato_workers_gone_total").Add({});
  prometheus::Gauge& window_open = make.gauges("rubato_window_open").Add({});
  prometheus::Gauge& window_workers = make.gauges("rubato_window_workers").Add({});
  prometheus::Histogram& merges = make.histograms("rubato_merge_seconds").Add({}, merge_buckets);
  prometheus::Counter& merged_bytes = make.counters("rubato_merge_bytes_total").Add({});
  prometheus::Counter* bytes_down;
  prometheus::Counter* bytes_up;
  prometheus::Counter* seconds_down;
  prometheus::Counter* seconds_up;
  prometheus::Gauge* queued_updates;
  prometheus::Gauge* queued_evaluations;
  prometheus::Gauge* queued_records;
  prometheus::Family<prometheus::Histogram>& commits =
      make.histograms("rubato_journal_commit_seconds");

  prometheus::Counter& lane_steps = make.counters("rubato_lane_steps_total").Add({});
  prometheus::Gauge& lane_rounds = make.gauges("rubato_lane_rounds").Add({});
  prometheus::Counter* lane_compute;
  prometheus::Counter* lane_load;
  prometheus::Counter& cpu_seconds = make.counters("process_cpu_seconds_total").Add({});
  prometheus::Gauge& memory = make.gauges("process_resident_memory_bytes").Add({});
  prometheus::Gauge& open_files = make.gauges("process_open_fds").Add({});
  prometheus::Gauge& threads = make.gauges("process_threads").Add({});
  prometheus::Gauge& start_time = make.gauges("process_start_time_seconds").Add({});

  /// What is known of another process.
  struct peer {
    double heard = 0.0;  // real time
    link_reading reading;
    prometheus::Gauge* age = nullptr;  // null: there are too many
  };
  prometheus::Family<prometheus::Gauge>& peer_age =
      make.gauges("rubato_peer_heartbeat_age_seconds");
  prometheus::Gauge* peers_now = nullptr;
  prometheus::Counter* sent_again = nullptr;
  prometheus::Counter* asked_again = nullptr;
  std::map<std::string, peer> peers;

  std::map<std::uint32_t, worker> workers;
  bool wall_clock = false;
  double update_bytes = 0.0;
  // Real times.
  std::optional<double> began;
  std::optional<double> last_update;
  std::optional<double> last_checkpoint;
  std::optional<double> journal_waits_since;
};

run_metrics::impl::impl(const process_facts& given, std::function<double()> clock)
    : real_seconds(std::move(clock)), facts(given) {
  make.gauges("rubato_build_info")
      .Add({{"version", facts.version}, {"compiler", compiler_name()}})
      .Set(1);
  auto& bytes = make.counters("rubato_transfer_bytes_total");
  auto& times = make.counters("rubato_transfer_seconds_total");
  const label_list down = {{"direction", "down"}, {"codec", facts.codec_down}};
  const label_list up = {{"direction", "up"}, {"codec", facts.codec_up}};
  bytes_down = &bytes.Add(down);
  bytes_up = &bytes.Add(up);
  seconds_down = &times.Add(down);
  seconds_up = &times.Add(up);
  auto& queues = make.gauges("rubato_queue_length");
  queued_updates = &queues.Add({{"queue", "updates"}});
  queued_evaluations = &queues.Add({{"queue", "evaluations"}});
  queued_records = &queues.Add({{"queue", "records"}});
  auto& lanes = make.counters("rubato_lane_seconds_total");
  lane_compute = &lanes.Add({{"state", "compute"}});
  lane_load = &lanes.Add({{"state", "load"}});
  if (facts.links) {
    peers_now = &make.gauges("rubato_peers").Add({});
    auto& retries = make.counters("rubato_transfer_retries_total");
    // A node sends up, a server down.
    sent_again = &retries.Add({{"direction", facts.node ? "up" : "down"}});
    asked_again = &retries.Add({{"direction", facts.node ? "down" : "up"}});
  }
  for (const auto fate : fates_of_rounds) updates(fate);
  if (facts.staleness_limit >= 0) staleness_limit.set(static_cast<double>(facts.staleness_limit));
  if (facts.journal) {
    commits.Add({}, commit_buckets);
    journal_waiting.set(0);
  }
}

run_metrics::impl::worker& run_metrics::impl::of(std::uint32_t id) {
  const bool alone = id < workers_with_metrics;
  const auto [place, is_new] = workers.try_emplace(std::min(id, workers_with_metrics));
  auto& w = place->second;
  if (!is_new) return w;
  const auto name = alone ? fmt::format("{}", id) : std::string(others);
  const label_list labels = {{"worker", name}};
  const auto in_state = [&](const char* state) {
    return &state_seconds.Add({{"worker", name}, {"state", state}});
  };
  w.tokens = &tokens.Add(labels);
  w.local_steps = &local_steps.Add(labels);
  w.staleness = &staleness.Add(labels, staleness_buckets);
  w.compute = in_state("compute");
  w.send = in_state("send");
  w.load = in_state("load");
  w.wait = in_state("wait");
  if (!alone) return w;
  w.quota = &quota.Add(labels);
  w.speed = &speed.Add(labels);
  w.base = &base.Add(labels);
  w.active = &active.Add(labels);
  return w;
}

prometheus::Counter& run_metrics::impl::updates(std::string_view fate) {
  return fates.Add({{"fate", std::string(fate)}});
}

/// What depends on when it is asked for.
void run_metrics::impl::refresh() {
  const double now = real_seconds();
  if (began) {
    update_age.set(now - last_update.value_or(*began));
    if (facts.checkpoints) checkpoint_age.set(now - last_checkpoint.value_or(*began));
    if (facts.journal) journal_lag.set(journal_waits_since ? now - *journal_waits_since : 0.0);
  }
  for (const auto& [name, peer] : peers) {
    if (peer.age != nullptr) peer.age->Set(now - peer.heard);
  }
  if (facts.lanes) {
    raise(lane_steps, static_cast<double>(facts.lanes->steps));
    lane_rounds.Set(static_cast<double>(facts.lanes->running));
    raise(*lane_compute, seconds(facts.lanes->compute_nanoseconds));
    raise(*lane_load, seconds(facts.lanes->waiting_nanoseconds));
  }
  const auto usage = read_process_usage();
  raise(cpu_seconds, usage.cpu_seconds);
  memory.Set(usage.resident_bytes);
  open_files.Set(usage.open_files);
  threads.Set(usage.threads);
  start_time.Set(usage.started);
}

run_metrics::run_metrics(const process_facts& facts, std::function<double()> real_seconds)
    : impl_(std::make_unique<impl>(facts, std::move(real_seconds))) {}

run_metrics::~run_metrics() = default;

void run_metrics::began(const run_plan& plan) {
  const std::lock_guard lock(impl_->mutex);
  impl_->run_info
      .Add({{"method", plan.method},
            {"clock", plan.clock},
            {"model_unit", plan.unit},
            {"precision", plan.precision},
            {"directory", plan.directory}})
      .Set(1);
  impl_->parameters.set(static_cast<double>(plan.parameters));
  impl_->budget.set(static_cast<double>(plan.local_steps));
  impl_->workers_configured.set(static_cast<double>(plan.workers.size()));
  impl_->update_bytes = static_cast<double>(plan.parameters) * sizeof(float);
  impl_->wall_clock = plan.clock == "wall";
  impl_->began = impl_->real_seconds();
}

void run_metrics::assigned(const round_begun& round) {
  const std::lock_guard lock(impl_->mutex);
  auto& worker = impl_->of(round.worker);
  ++worker.rounds;
  if (worker.quota == nullptr) return;  // of several workers, waiting is known for rounds alone
  if (worker.waiting_since) {
    worker.wait->Increment(std::max(0.0, round.time - *std::exchange(worker.waiting_since, {})));
  }
  worker.quota->Set(round.steps);
  worker.base->Set(static_cast<double>(round.base));
  worker.active->Set(1);
}

void run_metrics::settled(const round_ended& round) {
  const std::lock_guard lock(impl_->mutex);
  impl_->updates(round.fate).Increment();
  impl_->version.Set(static_cast<double>(round.version));
  if (round.fate == "duplicate" || round.fate == "stale_incarnation") return;  // of no round
  auto& worker = impl_->of(round.worker);
  if (worker.rounds > 0) --worker.rounds;
  if (worker.quota != nullptr && worker.rounds == 0) {
    worker.waiting_since = round.settled;
    worker.active->Set(0);
  }
  if (round.fate == "abandoned" || round.fate == "run_ended") return;  // nothing arrived

  worker.tokens->Increment(static_cast<double>(round.tokens));
  worker.local_steps->Increment(static_cast<double>(round.steps));
  const double load = impl_->wall_clock ? std::min(round.data_wait, round.computed) : 0.0;
  const double travel = round.received + round.sent;
  worker.compute->Increment(round.computed - load);
  worker.load->Increment(load);
  worker.send->Increment(travel);
  worker.wait->Increment(std::max(0.0, round.settled - round.assigned - round.computed - travel));
  impl_->seconds_down->Increment(round.received);
  impl_->seconds_up->Increment(round.sent);
  if (worker.speed != nullptr && round.computed > 0.0) {
    worker.speed->Set(static_cast<double>(round.steps) / round.computed);
  }
  impl_->training_loss.move_towards(round.loss);
  if (round.fate != "applied") return;

  worker.staleness->Observe(static_cast<double>(round.staleness));
  impl_->update_norm.set(round.norm);
  if (std::isfinite(round.cosine_to_momentum)) impl_->cosine.Observe(round.cosine_to_momentum);
  impl_->merged_bytes.Increment(impl_->update_bytes);
  const double now = impl_->real_seconds();
  if (impl_->last_update) impl_->update_interval.move_towards(now - *impl_->last_update);
  impl_->last_update = now;
}

void run_metrics::worker_gone(std::uint32_t worker) {
  const std::lock_guard lock(impl_->mutex);
  impl_->workers_gone.Increment();
  if (worker < workers_with_metrics) impl_->of(worker).waiting_since.reset();
}

void run_metrics::read(const server_reading& reading) {
  const std::lock_guard lock(impl_->mutex);
  impl_->run_seconds.Set(reading.time);
  impl_->workers_now.Set(static_cast<double>(reading.workers));
  impl_->window_open.Set(reading.window_open ? 1 : 0);
  impl_->window_workers.Set(static_cast<double>(reading.workers_waiting));
  impl_->queued_updates->Set(static_cast<double>(reading.updates_waiting));
  impl_->queued_evaluations->Set(static_cast<double>(reading.evaluations_waiting));
  impl_->queued_records->Set(static_cast<double>(reading.records_waiting));
  raise(*impl_->bytes_down, static_cast<double>(reading.bytes_down));
  raise(*impl_->bytes_up, static_cast<double>(reading.bytes_up));
  if (std::isfinite(reading.momentum_norm)) impl_->momentum_norm.set(reading.momentum_norm);
  for (const double took : reading.merges) impl_->merges.Observe(took);
}

void run_metrics::evaluated(const evaluation& e) {
  const std::lock_guard lock(impl_->mutex);
  impl_->evaluations.Increment();
  impl_->evaluation_loss.set(e.loss);
  impl_->perplexity.set(e.perplexity);
  if (!std::isnan(e.accuracy)) impl_->accuracy.set(e.accuracy);
}

void run_metrics::journal_waits(std::size_t bytes) {
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->journal_waits_since) impl_->journal_waits_since = impl_->real_seconds();
  impl_->journal_waiting.set(static_cast<double>(bytes));
}

void run_metrics::journal_committed(double seconds) {
  const std::lock_guard lock(impl_->mutex);
  impl_->journal_waits_since.reset();
  impl_->journal_waiting.set(0);
  impl_->commits.Add({}, commit_buckets).Observe(seconds);
}

void run_metrics::checkpointed(std::uint64_t version) {
  const std::lock_guard lock(impl_->mutex);
  impl_->last_checkpoint = impl_->real_seconds();
  impl_->checkpoint_version.set(static_cast<double>(version));
}

void run_metrics::ended(const run_summary& summary) {
  const std::lock_guard lock(impl_->mutex);
  impl_->run_ended.Set(1);
  impl_->version.Set(static_cast<double>(summary.server_version));
}

void run_metrics::takes_part(const std::string& run) {
  const std::lock_guard lock(impl_->mutex);
  impl_->facts.run = run;
}

void run_metrics::heard(const std::string& name, const link_reading& reading) {
  const std::lock_guard lock(impl_->mutex);
  const auto [place, is_new] = impl_->peers.try_emplace(name);
  auto& peer = place->second;
  if (is_new) {
    impl_->peers_now->Set(static_cast<double>(impl_->peers.size()));
    if (impl_->peers.size() <= peers_with_metrics) {
      peer.age = &impl_->peer_age.Add({{"peer", name}});
    }
  }
  peer.heard = impl_->real_seconds();
  const auto more = [](std::uint64_t now, std::uint64_t before) {
    return static_cast<double>(now - std::min(now, before));
  };
  impl_->sent_again->Increment(more(reading.sent_again, peer.reading.sent_again));
  impl_->asked_again->Increment(more(reading.asked_again, peer.reading.asked_again));
  peer.reading = reading;
}

void run_metrics::lost(const std::string& name) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->peers.find(name);
  if (found == impl_->peers.end()) return;
  if (found->second.age != nullptr) impl_->peer_age.Remove(found->second.age);
  impl_->peers.erase(found);
  impl_->peers_now->Set(static_cast<double>(impl_->peers.size()));
}

std::string run_metrics::text() {
  prometheus::ClientMetric::Label run{"run", ""};
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->refresh();
    run.value = impl_->facts.run;
  }
  auto families = impl_->make.collect();
  if (impl_->facts.node) {
    std::erase_if(families, [](const auto& family) { return !find(family.name).of_process(); });
  }
  for (auto& family : families) {
    for (auto& metric : family.metric) metric.label.insert(metric.label.begin(), run);
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

// -- the page about them ------------------------------------------------------------------------

std::string describe_metrics_markdown() {
  std::string page =
      "# Metrics\n\n"
      "What `/metrics` of a process says, for Prometheus. Written by `rubato metrics --markdown`; "
      "a "
      "test keeps it up to date.\n"
      "[operations.md](operations.md) says where to look and what the alerts mean, "
      "[monitoring.md](monitoring.md) how to switch it on.\n\n"
      "Every metric also has the label `run`, the run's name (`run.name`). "
      "Workers have one time series each up to number 63; those from 64 on share "
      "`worker=\"others\"` "
      "in counters and histograms, and have no gauges. \"Run's clock\" is simulated time on the "
      "virtual clock. Counters begin at 0 in each process, and what a run that goes on after a "
      "kill "
      "does again is counted again.\n\n"
      "| metric | kind | labels | meaning |\n|---|---|---|---|\n";
  for (const auto& m : catalogue) {
    const auto only = m.only.empty() ? std::string() : fmt::format(" Only {}.", m.only);
    page += fmt::format("| `{}` | {} | {} | {}{} |\n", m.name, to_string(m.kind), m.labels, m.help,
                        only);
  }
  return page;
}

}  // namespace rubato
