#include "actors/server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

#include "actors/evaluator.hpp"
#include "actors/recorder.hpp"
#include "config/error.hpp"
#include "network/backoff.hpp"
#include "optim/reductions.hpp"
#include "transfer/buffer_coding.hpp"

namespace rubato {
namespace {

// On the virtual clock no evaluation is left out, so the server waits when this many are queued.
constexpr std::size_t evaluation_queue = 2;

// A disk that cannot keep up with the updates holds the run up rather than filling the memory.
constexpr std::uint64_t record_queue = 4096;

// Longer than the longest wait of a node that tries to reach its server again.
constexpr run_time return_time = backoff::last + std::chrono::seconds(8);

// Weight of the newest round in the running means that the progress line shows.
constexpr double newest = 0.1;

void move_towards(double& mean, double value, bool first) {
  mean = first ? value : mean + newest * (value - mean);
}

/// How many times so many tokens go through the training data.
double epochs(const dataset& data, std::int64_t tokens) {
  double size = 0.0;
  for (std::size_t i = 0; i < data.shards(); ++i) size += static_cast<double>(data.shard_size(i));
  const double bytes = data.bytes_per_token();  // sizes of text are in bytes
  return static_cast<double>(tokens) * (bytes > 0.0 ? bytes : 1.0) / size;
}

std::uint64_t update_elements(const parameter_layout& layout) {
  return layout.count(section::trainable) + layout.count(section::averaged);
}

std::uint64_t bytes_of(const submission& content, const parameter_layout& layout) {
  return content.encoded ? content.encoded->span().size_bytes() : encoded_size(codec::f32, layout);
}

}  // namespace

void server_state::start(pointer self, server_setup setup) {
  self_ = self;
  setup_ = std::move(setup);
  const auto& run = *setup_.run;
  current_ = run.initial;
  coordinator::setting facts;
  facts.shard_weights = run.shard_weights;
  facts.elements = update_elements(run.layout);
  facts.update_bytes = encoded_size(run.codec_up(), run.layout);
  facts.version_bytes = encoded_size(run.codec_down(), run.layout);
  facts.first_version_bytes = encoded_size(form_of(run.codec_down(), true).how, run.layout);
  facts.tokens_per_step = run.data->tokens_per_batch();
  coordinator_ = std::make_unique<coordinator>(run.settings, facts);
  divergence_ = std::make_unique<divergence_watch>(run.settings.evaluate.diverged_after);
  events_.plan(coordinator_->changes());
  merger_ = std::make_unique<merger>(run.layout, run.settings);
  down_ = std::make_unique<versions_down>(run.layout, run.codec_down());
  if (run.settings.outer.group_rounds > 1) {
    group_mean_ = std::make_unique<merger>(run.layout, plain_mean(run.settings));
  }
  if (run.settings.record.pairwise_cosines) {
    similarity_ = std::make_unique<update_cosines>(run.layout.end(section::trainable));
  }
  recorder_setup record{setup_.directory, setup_.identity, {}, 0, setup_.probe, setup_.plan};
  if (setup_.restored) {
    record.restored = setup_.restored->record;
    record.first_record = setup_.restored->header.record;
    if (setup_.restored->journal) record.first_record.reset();
    restore();
  }
  recorder_ = self->spawn<caf::detached + caf::linked>(recorder, setup_.run, server_actor(self),
                                                       std::move(record));
  evaluator_ = self->spawn<caf::detached + caf::linked>(evaluator, setup_.run, server_actor(self));
  for (const auto& version : evaluations_) send(self, evaluator_, version);
  if (setup_.restored && setup_.restored->journal) continue_the_journal();
  if (!setup_.open) return;
  if (setup_.observer) setup_.observer->started(setup_.plan);
  if (!setup_.restored || finished_) return;
  if (needs_all()) {
    check_workers_begin();
  } else {
    await_workers();
  }
}

/// In real time: who took part when the run was killed may come back with what they were at. What
/// was that is known from the journal alone.
void server_state::await_workers() {
  peopled_ = true;
  for (worker_id i = 0; i < setup_.plan.workers.size(); ++i) {
    if (coordinator_->live(i)) away_.insert(i);
  }
  if (!journals()) return dismiss_away();
  away_until_ = now() + return_time;
  send_after(self_, return_time, server_actor(self_), clock_ticked{away_until_});
}

/// Those that are not back count as lost.
void server_state::dismiss_away() {
  if (away_.empty()) return;
  setup_.restored->workers.clear();
  for (const auto worker : std::exchange(away_, {})) let_go(now(), worker, false);
}

/// Nodes cannot be told of what workers remember from round to round.
void server_state::check_workers_begin() const {
  for (const auto& [id, worker] : setup_.restored->workers) {
    if (!worker->inner && !worker->went) continue;
    throw run_error(
        "the checkpoint has states of optimizers, which on the virtual clock would have to be the "
        "workers' own and do not travel; use `rubato train`");
  }
}

// -- messages -----------------------------------------------------------------------------------

void server_state::joined(const join_run& join) {
  after_what_is_due([this, join] { take_in(join); });
}

void server_state::take_in(const join_run& join) {
  if (finished_ || (needs_all() && peopled_)) return;
  const auto time = now();
  const auto node = caf::actor_cast<participant_actor>(join.node);
  watched_.watch(self_, node, [this](const caf::error& reason) {
    if (reason != caf::exit_reason::user_shutdown) self_->quit(failure_of("node", reason));
  });
  auto joining = join.workers;
  for (const auto worker : joining) nodes_[worker] = node;
  if (needs_all()) {
    const auto missing = setup_.plan.workers.size() - nodes_.size();
    if (missing > 0) {
      return remarked(
          {fmt::format("workers that the run waits for before it begins: {}", missing)});
    }
    joining.clear();
    for (const auto& [worker, where] : nodes_) joining.push_back(worker);
  }
  const bool first = !std::exchange(peopled_, true);
  action_list actions;
  for (const auto worker : joining) {
    std::shared_ptr<const worker_snapshot> content;
    if (away_.erase(worker) > 0) {
      const auto life = std::find_if(join.lives.begin(), join.lives.end(),
                                     [&](const auto& l) { return l.worker == worker; });
      if (life != join.lives.end()) content = left_with(*life);
    } else if (!setup_.open || needs_all()) {
      content = saved(worker);
    }
    if (content) {
      send(self_, nodes_.at(worker), restore_worker{std::move(content)});
      give_again(worker);
      continue;
    }
    auto more = let_join(time, worker);
    actions.insert(actions.end(), more.begin(), more.end());
    if (setup_.open && !needs_all()) record_change(now(), worker, "join");
  }
  if (setup_.observer && first && !setup_.open) {
    for (const auto worker : join.workers) {
      setup_.plan.workers.at(worker).quota = coordinator_->quota(worker);
    }
    setup_.observer->started(setup_.plan);
  }
  carry_out(actions);
}

void server_state::left(const leave_run& leave) {
  after_what_is_due([this, leave] { let_leave(leave); });
}

void server_state::let_leave(const leave_run& leave) {
  if (needs_all()) return stop_without(leave);
  for (const auto worker : leave.workers) {
    if (nodes_.contains(worker)) let_go(now(), worker, leave.after_rounds);
  }
  if (!leave.after_rounds) {
    for (const auto worker : leave.workers) {
      if (nodes_.erase(worker) > 0 && !finished_) record_change(now(), worker, "leave");
    }
  }
  when_durable([this, courier = leave.node] {
    send(self_, caf::actor_cast<node_courier_actor>(courier), no_more_rounds{});
  });
}

/// On the virtual clock, of which a real loss is no part: nobody else would do the same.
void server_state::stop_without(const leave_run& leave) {
  for (const auto worker : leave.workers) nodes_.erase(worker);
  send(self_, caf::actor_cast<node_courier_actor>(leave.node), no_more_rounds{});
  if (!peopled_ || finished_ || stopping_) return;
  remarked({"on the virtual clock the run cannot go on without these workers, and stops"});
  stop();
}

void server_state::remarked(const remark& said) {
  if (setup_.observer) setup_.observer->remarked(said.text);
}

void server_state::submitted(const submit_update& submit) {
  const auto& update = submit.content->update;
  if (coordinator_->awaits(update.id)) {
    const auto [place, is_new] = arrived_.try_emplace(update.id);
    if (!is_new) return;  // it waits for its time
    place->second = looked_through(submit.content);
    // No two events at the same time: the journal tells in which order things happened by that.
    constexpr run_time later{1};
    if (setup_.run->on_wall_clock()) {
      events_.expect(std::max(now(), events_.now() + later), update.id);
    }
    advance();
  } else if (setup_.run->on_wall_clock()) {
    carry_out(coordinator_->update_arrived(now(), update));  // to be refused
  }
  // On the virtual clock its round was settled before it was computed to its end. Whether it was
  // dropped in time depends on the threads, so it must leave no trace.
}

void server_state::evaluated(const version_evaluated& evaluated) {
  evaluations_.pop_front();
  last_ = *evaluated.result;
  if (!best_ || last_->loss < best_->loss) best_ = last_;
  divergence_->evaluated(last_->loss);
  tell_recorder(evaluated);
  if (setup_.observer) setup_.observer->evaluated(*last_);
  if (finished_) {
    end_when_evaluated();
  } else {
    advance();
  }
}

void server_state::recorded(std::uint64_t before) {
  outbox_.durable(before);
  deliver();
  advance();
}

void server_state::captured(const worker_captured& worker) {
  tell_recorder(worker);
}

void server_state::capture_ended(const capture_written& written) {
  const auto node = nodes_.find(written.worker);
  if (node != nodes_.end()) send(self_, node->second, written);
}

void server_state::checkpoint_ended() {
  checkpointing_ = false;
  advance();
}

void server_state::recording_ended() {
  // Whoever started the run learns from this reason that it went well; it also ends the children.
  self_->quit(caf::exit_reason::user_shutdown);
}

void server_state::ticked(run_time time) {
  alarms_.erase(time);
  if (!away_.empty() && now() >= away_until_) {
    after_what_is_due([this] { dismiss_away(); });
  } else {
    advance();
  }
}

void server_state::stop() {
  after_what_is_due([this] {
    if (finished_) return;
    dismiss_away();
    if (setup_.run->settings.checkpoint.every_versions == 0 || !peopled_) {
      carry_out(coordinator_->stop(now()));
    } else {
      stopping_ = true;
    }
  });
}

// -- the run's clock ----------------------------------------------------------------------------

run_time server_state::now() const {
  if (!setup_.run->on_wall_clock()) return events_.now();
  return std::max(events_.now(), setup_.run->clock.now());
}

/// What nobody planned happens in the order of the run's clock too, or the journal would tell of it
/// before that which was due, but had to wait for the disk.
void server_state::after_what_is_due(std::function<void()> step) {
  unplanned_.push_back(std::move(step));
  advance();
}

/// Does what has happened by now, in the order of the run's clock.
void server_state::advance() {
  while (next_step()) {
  }
}

/// False if nothing has happened, or it has to wait; something will call advance() then.
bool server_state::next_step() {
  const bool under_way = peopled_ && !finished_;  // also a run that goes on waits for its workers
  if (under_way) {
    if (next_record_ >= outbox_.durable_before() + record_queue) return false;
    if (divergence_->diverged()) {
      carry_out(coordinator_->stop(now()));
      return true;
    }
    if (checkpoint_is_due()) take_checkpoint();
    if (checkpointing_ && (stopping_ || !begun_)) return false;
    begun_ = true;
    if (stopping_) {
      carry_out(coordinator_->stop(now()));
      return true;
    }
    events_.set_window_end(coordinator_->window_end());
    const auto event = events_.next();
    if (event && may_take(*event)) {
      events_.take();
      take(*event);
      return true;
    }
    if (!event && coordinator_->stranded() && (!setup_.open || needs_all())) {
      throw run_error("all workers have left, and workers.events brings none of them back");
    }
  }
  if (unplanned_.empty()) return false;
  const auto step = std::move(unplanned_.front());
  unplanned_.pop_front();
  step();
  return true;
}

bool server_state::checkpoint_is_due() const {
  const auto every = static_cast<std::uint64_t>(setup_.run->settings.checkpoint.every_versions);
  if (every == 0 || checkpointing_ || !away_.empty()) return false;
  // What workers elsewhere remember is not here; before the first round they remember nothing.
  if (needs_all() && checkpoint_) return false;
  if (stopping_) return !checkpoint_is_last_;
  if (divergence_->doubtful()) return false;  // keep those of good parameters
  return !checkpoint_ || coordinator_->version() >= *checkpoint_ + every;
}

/// False while the event has to wait; something will call advance() then.
bool server_state::may_take(const event_queue::event& event) {
  if (setup_.run->on_wall_clock()) {
    const run_time early = event.time - now();
    if (early.count() <= 0) return true;
    if (alarms_.empty() || event.time < *alarms_.begin()) {
      alarms_.insert(event.time);
      send_after(self_, early, server_actor(self_), clock_ticked{event.time});
    }
    return false;
  }
  if (evaluations_.size() >= evaluation_queue || divergence_->undecided()) return false;
  const auto* round = std::get_if<update_id>(&event.what);
  return round == nullptr || arrived_.contains(*round);  // otherwise it is still being computed
}

void server_state::take(const event_queue::event& event) {
  if (const auto* round = std::get_if<update_id>(&event.what)) {
    const auto& content = *arrived_.at(*round);
    const auto update = content.update;
    bytes_up_ += bytes_of(content, setup_.run->layout);
    lane_time_ += content.took.lane;
    data_wait_ += content.took.data_wait;
    if (update.late.count() > 0) {
      late_rounds_ += 1;
      late_sum_ += update.late;
      late_max_ = std::max(late_max_, update.late);
    }
    const auto decided = decided_.extract(*round);
    carry_out(coordinator_->update_arrived(
        event.time, update, decided ? std::optional(decided.mapped()) : std::nullopt));
    record_if_gone(event.time, round->worker);  // it wanted to go, and this was its last
    flush_records_soon();
  } else if (const auto* planned = std::get_if<worker_change>(&event.what)) {
    change(event.time, *planned);
  } else {
    carry_out(coordinator_->tick(event.time));
  }
}

void server_state::change(run_time time, const worker_change& change) {
  constexpr const char* names[] = {"pace", "leave", "join"};
  switch (change.what) {
    case worker_change::kind::leave:
      let_go(time, change.worker, false);
      break;
    case worker_change::kind::join:
      carry_out(let_join(time, change.worker));
      break;
    case worker_change::kind::pace:
      carry_out(coordinator_->worker_changed(time, change));
      break;
  }
  record_change(time, change.worker, names[static_cast<std::size_t>(change.what)]);
}

void server_state::record_change(run_time time, worker_id worker, const char* what) {
  auto record = std::make_shared<worker_change_record>();
  record->clock_seconds = to_seconds(time);
  record->worker = worker;
  record->what = what;
  record->seconds_per_step = setup_.plan.paced ? coordinator_->pace(worker, time)
                                               : std::numeric_limits<double>::quiet_NaN();
  record->quota = coordinator_->quota(worker);
  // Of nodes that come and go, remarks tell.
  if (setup_.observer && !setup_.open && !doing_again_) {
    setup_.observer->worker_changed(*record);
  }
  tell_recorder(rubato::record_change{std::move(record)});
}

action_list server_state::let_join(run_time time, worker_id worker) {
  auto actions = coordinator_->worker_joined(time, worker);
  record({join_record{worker, coordinator_->incarnation(worker), time, {}}, nullptr});
  return actions;
}

/// The worker leaves: at once, or when it is at no round.
void server_state::let_go(run_time time, worker_id worker, bool after_rounds) {
  const bool was_there = coordinator_->live(worker);
  const auto actions = after_rounds ? coordinator_->worker_retires(time, worker)
                                    : coordinator_->worker_lost(time, worker);
  if (was_there) record_if_gone(time, worker);
  carry_out(actions);
}

void server_state::record_if_gone(run_time time, worker_id worker) {
  if (coordinator_->live(worker)) return;
  record({fence_record{worker, coordinator_->incarnation(worker), time}, nullptr});
}

// -- actions ------------------------------------------------------------------------------------

void server_state::carry_out(const action_list& actions) {
  const auto* end = actions.empty() ? nullptr : std::get_if<finish_action>(&actions.back());
  resumable_ = end != nullptr && end->interrupted && !divergence_->diverged();
  for (const auto& action : actions) {
    std::visit([this](const auto& a) { carry_out(a); }, action);
  }
  flush_records_soon();
}

void server_state::carry_out(const assign_action& action) {
  const auto& id = action.work.id;
  if (!setup_.run->on_wall_clock()) events_.expect(action.work.due(), id);
  const auto start = action.group ? group_versions_.at(*action.group) : current_;
  versions_down::delivery version;
  if (!action.without_version) version = down_->send(id.worker, id.sequence == 0, start);
  bytes_down_ += version.bytes;
  bytes_within_groups_ += action.group ? version.bytes : 0;
  if (merger_->needs_base()) bases_[id] = version.base;
  if (action.group) starts_[id] = *action.group;
  record({assigned_round{action.work, action.group,
                         action.work.steps * setup_.run->data->tokens_per_batch()},
          nullptr});
  assign_round round{action.work, version.base, version.encoded, inner_for(action.work),
                     action.steps_before};
  if (doing_again_) {
    again_[id] = std::move(round);
  } else {
    give(std::move(round));
  }
}

void server_state::carry_out(const apply_action& action) {
  std::vector<merge_input> inputs;
  const merge_place place{++merges_, action.group, action.inner_lr};
  const bool whole = similarity_ || action.kind == round_kind::gradient;
  for (std::size_t i = 0; i < action.updates.size(); ++i) {
    const auto& id = action.updates[i];
    merged_[id] = place;
    auto input = input_of(arrived_.at(id), whole);
    input.weight = action.weights[i];
    if (merger_->needs_base()) input.base = bases_.at(id);
    inputs.push_back(std::move(input));
  }
  compare_updates(action, inputs);
  const auto begun = setup_.run->clock.now();
  merge(action, inputs);
  if (setup_.probe) merge_seconds_.push_back(to_seconds(setup_.run->clock.now() - begun));
}

/// The values of an update, of one that is encoded block by block as they are needed, or `whole`.
merge_input server_state::input_of(const std::shared_ptr<const submission>& content,
                                   bool whole) const {
  if (!content->encoded) return {content->delta, nullptr};
  const auto& run = *setup_.run;
  const auto how = run.codec_up();
  if (whole) {
    auto delta = run.deltas->take();
    decode_update(how, run.layout, std::as_bytes(content->encoded->span()), *delta);
    return {std::move(delta), nullptr};
  }
  merge_input input;
  input.read = [how, &layout = run.layout, content](std::size_t first, std::span<float> out) {
    decode_part(how, layout, std::as_bytes(content->encoded->span()), first, out);
  };
  return input;
}

void server_state::merge(const apply_action& action, const std::vector<merge_input>& inputs) {
  if (action.group) {
    auto& own = group_versions_[*action.group];
    own = group_mean_->merge(inputs.front().base, inputs, action.inner_lr);
    for (const auto& id : action.updates) {
      bytes_within_groups_ += bytes_of(*arrived_.at(id), setup_.run->layout);
    }
    return;
  }
  group_versions_.clear();
  if (action.kind == round_kind::gradient) {
    if (!data_parallel_) {
      const auto& run = *setup_.run;
      data_parallel_ = std::make_unique<data_parallel>(run.layout, run.settings.inner);
    }
    current_ = data_parallel_->step(*current_, inputs, action.inner_lr);
  } else {
    current_ = merger_->merge(current_, inputs, action.inner_lr);
  }
  const bool local = action.kind != round_kind::gradient;
  if (local && setup_.run->settings.inner.state == "average") average_inner_states(action);
}

/// Measures how alike updates are, before they are merged.
void server_state::compare_updates(const apply_action& action,
                                   const std::vector<merge_input>& inputs) {
  const auto& ids = action.updates;
  if (action.kind != round_kind::gradient) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      cosines_[ids[i]].to_momentum =
          merger_->cosine_to_momentum(inputs[i], arrived_.at(ids[i])->update.norm);
    }
    momentum_norm_ = merger_->momentum_norm();
  }
  if (!similarity_) return;
  if (setup_.run->settings.outer.mode == "sync") similarity_->clear();  // each round for itself
  for (std::size_t i = 0; i < ids.size(); ++i) similarity_->set(ids[i].worker, inputs[i].delta);
  for (const auto& id : ids) cosines_[id].to_others = similarity_->mean_to_others(id.worker);
}

/// With what is to be said about the values of an update that came encoded.
std::shared_ptr<const submission> server_state::looked_through(
    const std::shared_ptr<const submission>& content) const {
  if (!content->encoded) return content;
  const auto& layout = setup_.run->layout;
  const auto values = input_of(content, false).read;
  const auto trainable = layout.end(section::trainable);
  const auto facts = facts_of(values, trainable, merger_->threads());
  std::vector<float> averaged(layout.end(section::averaged) - trainable);
  values(trainable, averaged);
  auto result = std::make_shared<submission>(*content);
  result->update.finite = facts.finite && all_finite(averaged);
  result->update.norm = std::sqrt(facts.sum_of_squares);
  return result;
}

void server_state::average_inner_states(const apply_action& action) {
  std::vector<const inner_state*> states;
  for (const auto& id : action.updates) states.push_back(arrived_.at(id)->inner.get());
  // The journal has no inner states. What there was before stands in for them.
  if (std::find(states.begin(), states.end(), nullptr) != states.end()) return;
  mean_inner_ = std::make_shared<const inner_state>(mean_of(states));
}

/// The optimizer state that a round begins with; null if the worker goes on with its own.
std::shared_ptr<const inner_state> server_state::inner_for(const assignment& work) const {
  if (work.handover) {
    const bool maintain = data_parallel_ && setup_.run->settings.outer.handover == "maintain";
    return std::make_shared<const inner_state>(maintain ? copy_of(data_parallel_->state())
                                                        : inner_state{});
  }
  return mean_inner_;
}

void server_state::carry_out(const settle_action& action) {
  const auto& id = action.record.work.id;
  const auto what = action.record.what;
  run_event event{settled_round{action.record, {}, {}}, nullptr};
  auto& settled = std::get<settled_round>(event.what);
  if (const auto found = cosines_.extract(id)) {
    settled.record.cosine_to_momentum = found.mapped().to_momentum;
    settled.record.cosine_to_others = found.mapped().to_others;
  }
  if (const auto found = arrived_.find(id); found != arrived_.end()) {
    event.took = found->second->took;
  }
  if (const auto merge = merged_.extract(id)) {
    const auto& content = *arrived_.at(id);
    settled.merge = merge.mapped();
    event.update = content.encoded ? content.encoded : content.delta;
    event.how = setup_.run->codec_up();
  }
  if (!settles_no_round(what)) {  // a refused repetition leaves what still waits alone
    arrived_.erase(id);
    bases_.erase(id);
    again_.erase(id);
    if (const auto start = starts_.extract(id)) settled.start = start.mapped();
  }
  if (what == fate::abandoned || what == fate::run_ended) events_.cancel(id);
  record(std::move(event));
  if (doing_again_) {
    // Its worker, and whoever watches, were told or have forgotten.
  } else if (setup_.open && resumable_ && what == fate::run_ended) {
    // Its worker goes on with it when the run does.
  } else if (const auto node = nodes_.find(id.worker); node != nodes_.end()) {
    when_durable([this, to = node->second, id, what] {
      send(self_, to, update_settled{id, what});
    });
  }
  if (what == fate::applied) report_progress(action.record);
}

void server_state::report_progress(const update_record& record) {
  staleness_.add(record.staleness);
  const bool first = staleness_.total() == 1;
  move_towards(recent_loss_, record.update.loss, first);
  move_towards(recent_staleness_, static_cast<double>(record.staleness), first);
  if (!setup_.observer || doing_again_) return;
  progress p;
  p.worker = record.work.id.worker;
  p.incarnation = record.work.id.incarnation;
  p.sequence = record.work.id.sequence;
  p.local_steps = coordinator_->local_steps();
  p.version = coordinator_->version();
  p.clock_seconds = to_seconds(now());
  p.wall_seconds = wall_seconds();
  p.loss = recent_loss_;
  p.staleness = recent_staleness_;
  p.tokens = coordinator_->tokens();
  when_durable([this, p] { setup_.observer->progressed(p); });
}

void server_state::carry_out(const evaluate_action& action) {
  if (evaluating_ == action.version) {
    divergence_->again();
    return;
  }
  // In real time nobody waits for the evaluator; the next version that is due will be newer.
  if (setup_.run->on_wall_clock() && !evaluations_.empty()) {
    evaluations_skipped_ += 1;
  } else {
    evaluate();
  }
}

void server_state::carry_out(const finish_action& action) {
  finished_ = action;
  ended_ = action.interrupted ? now() : events_.now();
  if (!resumable_) record({end_record{coordinator_->version(), ended_}, nullptr});
  if (evaluating_ != coordinator_->version()) evaluate();
  end_when_evaluated();
}

/// Sends the current version to the evaluator.
void server_state::evaluate() {
  auto context = std::make_shared<evaluation>();
  context->version = coordinator_->version();
  context->local_steps = coordinator_->local_steps();
  context->tokens = coordinator_->tokens();
  context->clock_seconds = to_seconds(now());
  context->wall_seconds = wall_seconds();
  for (worker_id i = 0; i < setup_.plan.workers.size(); ++i) {
    context->quotas.push_back(coordinator_->quota(i));
  }
  evaluating_ = context->version;
  divergence_->evaluating(context->version);
  evaluations_.push_back({current_, std::move(context)});
  send(self_, evaluator_, evaluations_.back());
}

// -- the end ------------------------------------------------------------------------------------

void server_state::end_when_evaluated() {
  if (ending_ || !evaluations_.empty()) return;
  ending_ = true;
  setup_.result->summary = summarise();
  tell_recorder(record_end{current_, std::make_shared<const run_summary>(*setup_.result->summary)});
}

run_summary server_state::summarise() const {
  const auto& run = *setup_.run;
  const double seconds = to_seconds(ended_);
  run_summary s;
  s.method = setup_.plan.method;
  s.seed = static_cast<std::uint64_t>(run.settings.run.seed);
  s.clock = run.settings.clock.mode;
  s.outcome = finished_->interrupted ? "interrupted" : "finished";
  if (divergence_->diverged() || divergence_->doubtful()) s.outcome = "diverged";
  s.last_finite_version = divergence_->last_finite();
  s.parameters = setup_.plan.parameters;
  s.workers = run.settings.workers.count;
  s.local_steps = coordinator_->local_steps();
  s.tokens = coordinator_->tokens();
  s.epochs = epochs(*run.data, s.tokens);
  s.server_version = coordinator_->version();
  s.unit = setup_.plan.unit;
  s.precision = setup_.plan.precision;
  s.evaluated_on = setup_.plan.evaluated_on;
  s.wall_seconds = wall_seconds();
  s.clock_seconds = seconds;
  s.virtual_seconds = run.on_wall_clock() ? std::numeric_limits<double>::quiet_NaN() : seconds;
  s.tokens_per_second = static_cast<double>(s.tokens) / s.wall_seconds;
  s.staleness = staleness_.summary();
  s.updates.applied = coordinator_->count(fate::applied);
  s.updates.stale = coordinator_->count(fate::too_stale);
  s.updates.duplicate = coordinator_->count(fate::duplicate);
  s.updates.run_ended = coordinator_->count(fate::run_ended);
  s.updates.abandoned = coordinator_->count(fate::abandoned);
  for (const auto f : {fate::unknown_worker, fate::stale_incarnation, fate::not_assigned,
                       fate::wrong_base, fate::wrong_size, fate::not_finite, fate::outlier}) {
    const auto count = coordinator_->count(f);
    s.updates.rejected += count;
    if (count > 0) s.updates.rejected_as[std::string(to_string(f))] = count;
  }
  s.late.rounds = late_rounds_;
  if (late_rounds_ > 0) {
    s.late.mean_seconds = to_seconds(late_sum_) / static_cast<double>(late_rounds_);
  }
  s.late.max_seconds = to_seconds(late_max_);
  s.evaluations_skipped = evaluations_skipped_;
  s.inner_states_behind = inner_states_behind_;
  s.bytes.down = bytes_down_;
  s.bytes.up = bytes_up_;
  s.bytes.within_groups = bytes_within_groups_;
  s.bytes.wire_down = run.traffic->down;
  s.bytes.wire_up = run.traffic->up;
  s.final = last_;
  s.best = best_;
  s.params_sha256 = parameters_sha256(run.layout, current_->span());
  double busy = 0.0;
  for (const auto& totals : coordinator_->totals(ended_)) {
    auto& worker = s.per_worker.emplace_back();
    const double computed = to_seconds(totals.compute_time);
    worker.rounds = static_cast<std::int64_t>(totals.rounds);
    worker.local_steps = totals.local_steps;
    if (setup_.plan.paced) {
      worker.seconds_per_step = setup_.plan.workers.at(s.per_worker.size() - 1).seconds_per_step;
    } else if (totals.local_steps > 0) {
      worker.seconds_per_step = computed / static_cast<double>(totals.local_steps);
    }
    worker.utilisation = seconds > 0.0 ? computed / seconds : 0.0;
    busy += worker.utilisation;
  }
  s.utilisation = busy / static_cast<double>(s.per_worker.size());
  if (lane_time_.count() > 0) s.data_wait = to_seconds(data_wait_) / to_seconds(lane_time_);
  s.data_notes = run.data->notes();
  s.baselines = setup_.plan.baselines;
  s.directory = setup_.plan.directory;
  return s;
}

double server_state::wall_seconds() const {
  return to_seconds(setup_.run->clock.now());
}

// -- the actor ----------------------------------------------------------------------------------

server_actor::behavior_type server(server_state::pointer self, server_setup setup) {
  guarded(self, "server", [&] { state_of(self).start(self, std::move(setup)); });
  return {
      [self](const join_run& join) {
        guarded(self, "server", [&] { state_of(self).joined(join); });
      },
      [self](const leave_run& leave) {
        guarded(self, "server", [&] { state_of(self).left(leave); });
      },
      [self](const submit_update& submit) {
        guarded(self, "server", [&] { state_of(self).submitted(submit); });
      },
      [self](const version_evaluated& evaluated) {
        guarded(self, "server", [&] { state_of(self).evaluated(evaluated); });
      },
      [self](const commit_records&) {
        guarded(self, "server", [&] { state_of(self).flush_records(); });
      },
      [self](const records_durable& records) {
        guarded(self, "server", [&] { state_of(self).recorded(records.before); });
      },
      [self](const worker_captured& worker) {
        guarded(self, "server", [&] { state_of(self).captured(worker); });
      },
      [self](const capture_written& written) {
        guarded(self, "server", [&] { state_of(self).capture_ended(written); });
      },
      [self](const checkpoint_written&) {
        guarded(self, "server", [&] { state_of(self).checkpoint_ended(); });
      },
      [self](const recording_finished&) {
        guarded(self, "server", [&] { state_of(self).recording_ended(); });
      },
      [self](const clock_ticked& tick) {
        guarded(self, "server", [&] { state_of(self).ticked(tick.time); });
      },
      [self](const remark& said) {
        guarded(self, "server", [&] { state_of(self).remarked(said); });
      },
      [self](const stop_run&) { guarded(self, "server", [&] { state_of(self).stop(); }); },
  };
}

}  // namespace rubato
