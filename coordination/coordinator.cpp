#include "coordination/coordinator.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "coordination/state_json.hpp"

namespace rubato {
namespace {

/// The part of a round's compute time that has passed.
run_time computed_by(run_time now, const assignment& work) {
  return std::clamp(now - work.begun(), run_time{0}, work.timing.compute);
}

}  // namespace

std::string_view to_string(fate f) {
  switch (f) {
    case fate::applied:
      return "applied";
    case fate::duplicate:
      return "duplicate";
    case fate::unknown_worker:
      return "unknown_worker";
    case fate::stale_incarnation:
      return "stale_incarnation";
    case fate::not_assigned:
      return "not_assigned";
    case fate::wrong_base:
      return "wrong_base";
    case fate::wrong_size:
      return "wrong_size";
    case fate::not_finite:
      return "not_finite";
    case fate::too_stale:
      return "too_stale";
    case fate::abandoned:
      return "abandoned";
    case fate::run_ended:
      return "run_ended";
    case fate::outlier:
      return "outlier";
  }
  return "?";
}

bool settles_no_round(fate what) {
  return what == fate::duplicate || what == fate::unknown_worker ||
         what == fate::stale_incarnation || what == fate::not_assigned;
}

std::string_view to_string(round_kind kind) {
  switch (kind) {
    case round_kind::local:
      return "local";
    case round_kind::rescaled:
      return "rescaled";
    case round_kind::gradient:
      return "gradient";
  }
  return "?";
}

coordinator::coordinator(const config& c, setting s)
    : config_(c),
      setting_(std::move(s)),
      shards_(setting_.shard_weights),
      quota_(c),
      staleness_(c),
      tempo_(c),
      groups_(c),
      stages_(parse_stages(c)) {
  update_stage();
}

// -- events -------------------------------------------------------------------------------------

action_list coordinator::worker_joined(run_time now, worker_id worker) {
  action_list out;
  if (finished_) return out;
  auto& state = workers_[worker];
  abandon(now, state, fate::abandoned, out);
  live_ += state.live ? 0 : 1;
  state.live = true;
  state.retiring = false;
  state.incarnation += 1;
  state.next_sequence = 0;
  state.last_kind = round_kind::local;
  quota_.add(worker, tempo_.moving_pace(worker, now));
  idle_.insert(worker);
  // With nobody at work there is no window or round to wait for; otherwise, in asynchronous runs,
  // a newcomer need not wait unless others already do.
  if (dues_.empty() || (!window_end_ && !sync())) window_end_ = now;
  if (version_ == 0 && next_evaluation_ == 0) evaluate(out);
  return out;
}

action_list coordinator::worker_lost(run_time now, worker_id worker) {
  action_list out;
  const auto it = workers_.find(worker);
  if (finished_ || it == workers_.end() || !it->second.live) return out;
  abandon(now, it->second, fate::abandoned, out);
  it->second.live = false;
  live_ -= 1;
  idle_.erase(worker);
  quota_.remove(worker);
  update_window(now);
  return out;
}

action_list coordinator::worker_retires(run_time now, worker_id worker) {
  const auto it = workers_.find(worker);
  if (finished_ || it == workers_.end() || !it->second.live) return {};
  it->second.retiring = true;
  action_list out;
  dismiss(now, worker, out);
  update_window(now);
  return out;
}

/// One that retires gets no more rounds; without any it is gone.
void coordinator::dismiss(run_time now, worker_id worker, action_list& out) {
  idle_.erase(worker);
  if (!workers_.at(worker).outstanding.empty()) return;
  const auto more = worker_lost(now, worker);
  out.insert(out.end(), more.begin(), more.end());
}

action_list coordinator::worker_changed(run_time now, const worker_change& change) {
  switch (change.what) {
    case worker_change::kind::leave:
      return worker_lost(now, change.worker);
    case worker_change::kind::join:
      return worker_joined(now, change.worker);
    case worker_change::kind::pace:
      quota_.change(change.worker, tempo_.moving_pace(change.worker, now));
      break;
  }
  return {};
}

action_list coordinator::update_arrived(run_time now, const arrival& update,
                                        std::optional<fate> decided) {
  action_list out;
  if (finished_) return out;
  auto reason = refusal(update);
  if (!awaits(update.id)) {
    // Not the answer to an open assignment: nothing changes but the count.
    settle(now, {.id = update.id, .base_version = update.base_version}, update, *reason, out);
    return out;
  }
  auto& state = workers_.at(update.id.worker);
  held_update held{{}, update, 0};
  if (const auto* base = base_of(state, update)) held.merged_before = base->merged_before;
  held.work = take_outstanding(state, update.id.sequence).work;
  if (!reason) held.work.base_version = update.base_version;
  if (!reason) {
    const bool usual = has_usual_norm(held);
    if (decided ? *decided == fate::outlier : !usual) reason = fate::outlier;
  }
  local_steps_ += held.work.steps;
  state.totals.rounds += 1;
  state.totals.local_steps += held.work.steps;
  state.totals.compute_time += update.compute_time;
  if (!state.retiring) idle_.insert(update.id.worker);
  if (groups_.active()) groups_.arrived(update.id.worker, held.work.steps);
  if (reason) {
    shards_.refund(held.work.shard, held.work.steps);
    settle(now, held.work, update, *reason, out);
  } else {
    quota_.observe(update.id.worker, held.work.steps, update.compute_time);
    if (sync()) {
      round_.emplace(update.id.worker, held);
    } else {
      apply({held}, now, out);
    }
  }
  if (!sync() && check_budget(now, out)) return out;
  if (state.retiring) dismiss(now, update.id.worker, out);
  update_window(now);
  return out;
}

action_list coordinator::tick(run_time now) {
  action_list out;
  if (finished_ || !window_end_ || now < *window_end_) return out;
  window_end_.reset();
  if (groups_.active()) {
    const auto due = due_groups();
    for (const auto group : due) average(group, now, out);
    if (!due.empty() || !dues_.empty()) return out;
  }
  if (!round_.empty()) {
    std::vector<held_update> updates;
    for (const auto& [worker, held] : std::exchange(round_, {})) updates.push_back(held);
    apply(updates, now, out);
    if (groups_.active()) groups_.synchronised();
    synchronised_at_ = local_steps_;
  }
  if (check_budget(now, out)) return out;
  evaluate_if_stalled(out);
  for (const auto worker : std::exchange(idle_, {})) {
    while (workers_.at(worker).outstanding.size() < rounds_in_flight()) assign(now, worker, out);
  }
  return out;
}

action_list coordinator::stop(run_time now) {
  action_list out;
  if (!finished_) finish(now, true, out);
  return out;
}

// -- state --------------------------------------------------------------------------------------

bool coordinator::awaits(const update_id& id) const {
  const auto it = workers_.find(id.worker);
  if (it == workers_.end() || it->second.incarnation != id.incarnation) return false;
  return find_round(it->second, id.sequence) != it->second.outstanding.end();
}

bool coordinator::live(worker_id worker) const {
  const auto it = workers_.find(worker);
  return it != workers_.end() && it->second.live;
}

std::uint64_t coordinator::count(fate f) const {
  const auto it = fates_.find(f);
  return it == fates_.end() ? 0 : it->second;
}

std::uint32_t coordinator::quota(worker_id worker) const {
  const auto it = workers_.find(worker);
  return it != workers_.end() && it->second.live ? quota_.steps(worker) : 0;
}

std::vector<worker_totals> coordinator::totals(run_time now) const {
  std::vector<worker_totals> result(static_cast<std::size_t>(config_.workers.count));
  for (const auto& [worker, state] : workers_) {
    result[worker] = state.totals;
    for (const auto& round : state.outstanding) {
      result[worker].compute_time += computed_by(now, round.work);
    }
  }
  return result;
}

std::vector<assignment> coordinator::outstanding() const {
  std::vector<assignment> result;
  for (const auto& [worker, state] : workers_) {
    for (const auto& round : state.outstanding) result.push_back(round.work);
  }
  return result;
}

// What follows from the rest is not saved: live_, dues_, and what a stage means for others.

nlohmann::json coordinator::state() const {
  auto workers = nlohmann::json::array();
  for (const auto& [id, w] : workers_) {
    auto outstanding = nlohmann::json::array();
    for (const auto& round : w.outstanding) {
      outstanding.push_back({{"work", round.work}, {"merged_before", round.merged_before}});
    }
    workers.push_back({{"id", id},
                       {"incarnation", w.incarnation},
                       {"live", w.live},
                       {"retiring", w.retiring},
                       {"next_sequence", w.next_sequence},
                       {"outstanding", std::move(outstanding)},
                       {"last_kind", w.last_kind},
                       {"rounds", w.totals.rounds},
                       {"local_steps", w.totals.local_steps},
                       {"compute_time", w.totals.compute_time}});
  }
  auto round = nlohmann::json::array();
  for (const auto& [id, held] : round_) {
    round.push_back(
        {{"work", held.work}, {"update", held.update}, {"merged_before", held.merged_before}});
  }
  auto norms = nlohmann::json::array();
  for (const auto& [kind, guard] : norm_guards_) {
    norms.push_back({{"kind", kind}, {"remembered", guard.remembered()}});
  }
  return {{"shards", shards_.state()},
          {"quota", quota_.state()},
          {"groups", groups_.state()},
          {"workers", std::move(workers)},
          {"idle", idle_},
          {"stage", stage_},
          {"switched", switched_},
          {"round", std::move(round)},
          {"norms", std::move(norms)},
          {"window_end", window_end_},
          {"version", version_},
          {"merged", merged_},
          {"accumulated", accumulated_},
          {"assignments", assignments_},
          {"local_steps", local_steps_},
          {"synchronised_at", synchronised_at_},
          {"next_evaluation", next_evaluation_},
          {"stalled_at", stalled_at_},
          {"fates", fates_},
          {"finished", finished_}};
}

void coordinator::restore(const nlohmann::json& state) {
  shards_.restore(state.at("shards"));
  quota_.restore(state.at("quota"));
  groups_.restore(state.at("groups"));
  for (const auto& saved : state.at("workers")) {
    auto& w = workers_[saved.at("id").get<worker_id>()];
    saved.at("incarnation").get_to(w.incarnation);
    saved.at("live").get_to(w.live);
    w.retiring = saved.value("retiring", false);  // unknown to older versions
    saved.at("next_sequence").get_to(w.next_sequence);
    for (const auto& round : saved.at("outstanding")) {
      w.outstanding.push_back(
          {round.at("work").get<assignment>(), round.at("merged_before").get<std::uint64_t>()});
      dues_.insert(w.outstanding.back().work.due());
    }
    saved.at("last_kind").get_to(w.last_kind);
    saved.at("rounds").get_to(w.totals.rounds);
    saved.at("local_steps").get_to(w.totals.local_steps);
    saved.at("compute_time").get_to(w.totals.compute_time);
    live_ += w.live ? 1 : 0;
  }
  if (!workers_.empty() && workers_.rbegin()->first >= config_.workers.count) {
    throw std::invalid_argument("coordinator: the state has more workers than the config");
  }
  for (const auto& saved : state.at("round")) {
    const auto update = saved.at("update").get<arrival>();
    round_[update.id.worker] = {saved.at("work").get<assignment>(), update,
                                saved.at("merged_before").get<std::uint64_t>()};
  }
  for (const auto& saved : state.at("norms")) {
    const auto kind = saved.at("kind").get<round_kind>();
    norm_guards_.try_emplace(kind, config_.outer.norm_guard)
        .first->second.restore(saved.at("remembered").get<std::deque<double>>());
  }
  state.at("idle").get_to(idle_);
  state.at("stage").get_to(stage_);
  state.at("switched").get_to(switched_);
  state.at("window_end").get_to(window_end_);
  state.at("version").get_to(version_);
  state.at("merged").get_to(merged_);
  state.at("accumulated").get_to(accumulated_);
  state.at("assignments").get_to(assignments_);
  state.at("local_steps").get_to(local_steps_);
  state.at("synchronised_at").get_to(synchronised_at_);
  state.at("next_evaluation").get_to(next_evaluation_);
  state.at("stalled_at").get_to(stalled_at_);
  state.at("fates").get_to(fates_);
  state.at("finished").get_to(finished_);
  if (stage_ >= stages_.size()) throw std::invalid_argument("coordinator: no such stage");
  enter_stage();
}

// -- decisions ----------------------------------------------------------------------------------

std::vector<coordinator::given_round>::const_iterator coordinator::find_round(
    const worker_state& worker, std::uint64_t sequence) {
  return std::find_if(worker.outstanding.begin(), worker.outstanding.end(),
                      [&](const auto& round) { return round.work.id.sequence == sequence; });
}

/// The round that brought the version from which an outstanding one was measured: itself, or the
/// one after it, if its version got there before the steps were done. Null: it has another base.
const coordinator::given_round* coordinator::base_of(const worker_state& worker,
                                                     const arrival& update) {
  const auto own = find_round(worker, update.id.sequence);
  const auto same = [&](const auto& round) {
    return round.work.base_version == update.base_version;
  };
  // The later one of those of the same version: then nothing was merged that changed it.
  const auto last = std::find_if(std::make_reverse_iterator(worker.outstanding.end()),
                                 std::make_reverse_iterator(own), same);
  return last == std::make_reverse_iterator(own) ? nullptr : &*last;
}

/// Why an update must not be applied; empty when it may.
std::optional<fate> coordinator::refusal(const arrival& update) const {
  const auto it = workers_.find(update.id.worker);
  if (it == workers_.end()) return fate::unknown_worker;
  const auto& state = it->second;
  if (!state.live || update.id.incarnation != state.incarnation) return fate::stale_incarnation;
  if (update.id.sequence >= state.next_sequence) return fate::not_assigned;
  if (find_round(state, update.id.sequence) == state.outstanding.end()) return fate::duplicate;
  if (base_of(state, update) == nullptr) return fate::wrong_base;
  if (update.elements != setting_.elements) return fate::wrong_size;
  if (!update.finite || !std::isfinite(update.norm)) return fate::not_finite;
  return std::nullopt;
}

/// Each kind of round has norms of its own: a gradient's has no learning rate in it.
bool coordinator::has_usual_norm(const held_update& held) {
  const auto guard = norm_guards_.try_emplace(held.work.kind, config_.outer.norm_guard).first;
  return guard->second.admits(held.update.norm, held.work.steps);
}

void coordinator::settle(run_time now, const assignment& work, const arrival& update, fate what,
                         action_list& out) {
  fates_[what] += 1;
  update_record record;
  record.work = work;
  record.update = update;
  record.what = what;
  record.version = version_;
  record.staleness = version_ - std::min(version_, work.base_version);
  record.tokens = work.steps * setting_.tokens_per_step;
  record.settled_at = now;
  out.push_back(settle_action{record});
}

std::uint64_t coordinator::staleness(const held_update& held) const {
  if (config_.staleness.unit == "arrivals") return merged_ - held.merged_before;
  return version_ - held.work.base_version;
}

/// The outer optimizer, or the mean of a group, on those of these updates that are not too stale;
/// and the fate of all.
void coordinator::apply(const std::vector<held_update>& updates, run_time now, action_list& out,
                        std::optional<group_id> group) {
  struct accepted {
    const held_update* held;
    std::uint64_t staleness;
    double weight;
  };
  std::vector<accepted> merged;
  apply_action step;
  const auto settle_as = [&](fate what, const held_update& held, std::uint64_t s, double weight) {
    settle(now, held.work, held.update, what, out);
    auto& record = std::get<settle_action>(out.back()).record;
    record.staleness = s;
    record.weight = weight;
  };
  // Those that are not merged are settled first: the version is still the one before.
  for (const auto& held : updates) {
    const auto s = staleness(held);
    const auto weight = staleness_.weight(s, held.work.steps);
    if (!weight) {
      shards_.refund(held.work.shard, held.work.steps);
      settle_as(fate::too_stale, held, s, 0.0);
      continue;
    }
    merged.push_back({&held, s, *weight});
    if (step.updates.empty()) {
      step.kind = held.work.kind;
      auto rates = held.work.rates;
      if (groups_.active()) rates.start = synchronised_at_ / config_.workers.count;
      step.inner_lr = learning_rate(config_.inner, rates, 0);
    }
    step.updates.push_back(held.update.id);
    step.weights.push_back(*weight);
  }
  const bool merges = !step.updates.empty();
  const bool changes = merges && !group && (sync() || ++accumulated_ == config_.outer.accumulate);
  if (changes) {
    accumulated_ = 0;
    version_ += 1;
  }
  if (merges) {
    merged_ += group ? 0 : step.updates.size();
    step.version = version_;
    step.group = group;
    out.push_back(std::move(step));
  }
  for (const auto& [held, s, weight] : merged) settle_as(fate::applied, *held, s, weight);
  if (changes && local_steps_ >= next_evaluation_) evaluate(out);
}

void coordinator::evaluate(action_list& out) {
  const std::int64_t every = config_.evaluate.every_local_steps;
  next_evaluation_ = (local_steps_ / every + 1) * every;
  stalled_at_ = next_evaluation_;
  out.push_back(evaluate_action{version_});
}

/// The same version once more: perhaps it is so bad that whatever comes of it is refused.
void coordinator::evaluate_if_stalled(action_list& out) {
  if (local_steps_ < stalled_at_ + config_.evaluate.every_local_steps) return;
  stalled_at_ = local_steps_;
  out.push_back(evaluate_action{version_});
}

coordinator::given_round coordinator::take_outstanding(worker_state& worker,
                                                       std::uint64_t sequence) {
  const auto found = find_round(worker, sequence);
  const given_round round = *found;
  worker.outstanding.erase(found);
  dues_.erase(dues_.find(round.work.due()));
  if (groups_.active()) groups_.released(round.work.id.worker);
  return round;
}

/// Rounds will not come in: their worker was lost, or the run ended.
void coordinator::abandon(run_time now, worker_state& worker, fate what, action_list& out) {
  while (!worker.outstanding.empty()) {
    const auto work = take_outstanding(worker, worker.outstanding.front().work.id.sequence).work;
    worker.totals.compute_time += computed_by(now, work);
    shards_.refund(work.shard, work.steps);
    settle(now, work, {.id = work.id, .base_version = work.base_version}, what, out);
  }
}

/// Async: opens at the first arrival and closes after the grace period, or as soon as nobody is
/// left to wait for. Sync: closes when all (or a quorum, or those of a group) have arrived.
void coordinator::update_window(run_time now) {
  if (idle_.empty()) {
    window_end_.reset();
    return;
  }
  if (sync()) {
    const auto quorum = static_cast<std::size_t>(config_.window.quorum);
    if (dues_.empty() || (quorum > 0 && round_.size() >= quorum) || !due_groups().empty()) {
      window_end_ = now;
    }
    return;
  }
  if (!window_end_) {
    window_end_ = now + run_time(std::llround(config_.window.grace_seconds * 1e9));
  }
  const bool nobody_else = config_.window.policy == "clairvoyant"
                               ? dues_.empty() || *dues_.begin() > *window_end_
                               : dues_.empty();
  if (nobody_else) window_end_ = std::min(*window_end_, now);
}

/// Groups that average now. None when the budget is used up: the round that ends the run is a
/// global one, so that it loses nothing.
std::vector<group_id> coordinator::due_groups() const {
  if (!groups_.active() || local_steps_ >= config_.run.local_steps) return {};
  return groups_.due();
}

/// What the group's workers ended with becomes what it has, and they start again from that.
void coordinator::average(group_id group, run_time now, action_list& out) {
  std::vector<held_update> updates;
  for (auto it = round_.begin(); it != round_.end();) {
    if (groups_.of(it->first) == group) {
      updates.push_back(it->second);
      it = round_.erase(it);
    } else {
      ++it;
    }
  }
  apply(updates, now, out, group);
  groups_.next_round(group, !updates.empty());
  for (auto it = idle_.begin(); it != idle_.end();) {
    if (groups_.of(*it) == group) {
      assign(now, *it, out);
      it = idle_.erase(it);
    } else {
      ++it;
    }
  }
}

void coordinator::assign(run_time now, worker_id worker, action_list& out) {
  assign_action action{make_assignment(now, worker)};
  if (groups_.active() && groups_.apart(worker)) action.group = groups_.of(worker);
  const auto& rounds = workers_.at(worker).outstanding;
  if (rounds.size() > 1) {
    action.without_version = goes_without_version(action.work.id);
    const auto arrival = now + tempo_.transfer(worker, bytes_down(action.work.id));
    action.steps_before = tempo_.steps_before(rounds[rounds.size() - 2].work, arrival);
  }
  out.push_back(std::move(action));
}

/// Moves on to the stage that rounds belong to from now on.
void coordinator::update_stage() {
  while (stage_ + 1 < stages_.size() && local_steps_ >= stages_[stage_ + 1].from) {
    switched_ = switched_ || stages_[stage_].data_parallel();
    stage_ += 1;
  }
  enter_stage();
}

void coordinator::enter_stage() {
  const auto local_steps = std::max<std::int64_t>(1, stages_[stage_].local_steps);
  quota_.set_local_steps(local_steps);
  staleness_.set_local_steps(local_steps);
}

assignment coordinator::make_assignment(run_time now, worker_id worker) {
  auto& state = workers_.at(worker);
  assignment work;
  work.id = {worker, state.incarnation, state.next_sequence++};
  work.base_version = version_;
  update_stage();
  work.steps = quota_.steps(worker);
  if (stages_[stage_].data_parallel()) {
    work.kind = round_kind::gradient;
  } else {
    work.kind = switched_ ? round_kind::rescaled : round_kind::local;
    work.handover = state.last_kind == round_kind::gradient;
  }
  state.last_kind = work.kind;
  if (config_.data.shard_sampling == "fixed") {
    work.shard = static_cast<shard_id>(worker % shards_.size());
  } else {
    random_generator random(static_cast<std::uint64_t>(config_.run.seed),
                            random_stream::shard_choice, {assignments_});
    work.shard = config_.data.shard_sampling == "balanced" ? shards_.draw(random)
                                                           : shards_.draw_least_visited(random);
  }
  assignments_ += 1;
  work.data_position = shards_.reserve(work.shard, work.steps);
  if (sync()) {
    // One schedule for all: it advances by the mean of the steps that a round took.
    const auto workers = config_.workers.count;
    work.rates =
        make_schedule(config_.inner, config_.run.local_steps, 1.0 / static_cast<double>(workers));
    work.rates.start = common_steps(worker);
  } else {
    work.rates = make_schedule(config_.inner, config_.run.local_steps, shards_.share(work.shard));
    work.rates.start = static_cast<std::int64_t>(work.data_position);
  }
  work.assigned_at = now;
  work.timing = tempo_.round(work.id, work.steps, now, bytes_down(work.id), setting_.update_bytes,
                             state.outstanding.empty() ? nullptr : &state.outstanding.back().work);
  state.outstanding.push_back({work, merged_});
  dues_.insert(work.due());
  if (groups_.active()) groups_.assigned(worker);
  return work;
}

/// With overlap the second round of a worker begins where the first one ends.
bool coordinator::goes_without_version(const update_id& round) const {
  return config_.network.overlap && round.sequence == 1;
}

std::uint64_t coordinator::bytes_down(const update_id& round) const {
  if (goes_without_version(round)) return 0;
  return round.sequence == 0 ? setting_.first_version_bytes : setting_.version_bytes;
}

/// Steps of the schedule that all share until now; of a group that goes ahead, until it is there.
std::int64_t coordinator::common_steps(worker_id worker) const {
  if (!groups_.active()) return local_steps_ / config_.workers.count;
  return synchronised_at_ / config_.workers.count + groups_.steps(worker);
}

bool coordinator::check_budget(run_time now, action_list& out) {
  if (local_steps_ < config_.run.local_steps) return false;
  finish(now, false, out);
  return true;
}

void coordinator::finish(run_time now, bool interrupted, action_list& out) {
  finished_ = true;
  window_end_.reset();
  for (const auto& [worker, held] : std::exchange(round_, {})) {
    settle(now, held.work, held.update, fate::run_ended, out);
  }
  for (auto& [worker, state] : workers_) {
    abandon(now, state, fate::run_ended, out);
  }
  out.push_back(finish_action{interrupted});
}

}  // namespace rubato
