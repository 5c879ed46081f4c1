// How the server and the journal go together: what happens is recorded, what follows from it leaves
// when that is durable, and what the journal says of the time after the checkpoint happens again.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "actors/server.hpp"
#include "config/error.hpp"

namespace rubato {
namespace {

[[noreturn]] void fail_at(std::uint64_t record) {
  throw run_error(fmt::format(
      "record {} of the journal cannot be reached again: it does not follow from those before it",
      record));
}

}  // namespace

// -- there --------------------------------------------------------------------------------------

/// Gives the event its number; the recorder is told by flush_records_soon().
void server_state::record(run_event event) {
  const bool of_interest = std::holds_alternative<settled_round>(event.what) || setup_.probe;
  if (!journals() && !of_interest) return;
  // Whoever goes on later has these rounds in flight.
  if (!resumable_) {
    if (tail_) {
      next_record_ = tail_->check(to_journal(setup_.run->layout, event));
      event.update = nullptr;  // it is there
    }
    event.number = next_record_++;
  }
  events_to_record_.push_back(std::move(event));
  if (tail_ && tail_->next() == nullptr) leave_tail(journal_end(tail_->end()));
}

/// To be called when an event has led to all that it leads to: no merge is durable in part. Waking
/// the recorder takes longer than much of what it is told, so it is told together what comes close
/// together.
void server_state::flush_records_soon() {
  if (tail_ || doing_again_) return flush_records();  // before the journal goes on
  if (events_to_record_.empty() || std::exchange(flushing_, true)) return;
  send(self_, server_actor(self_), commit_records{});
}

void server_state::flush_records() {
  flushing_ = false;
  if (events_to_record_.empty()) return;
  send(self_, recorder_,
       record_events{
           std::make_shared<const std::vector<run_event>>(std::exchange(events_to_record_, {})),
           setup_.probe ? take_reading() : nullptr});
}

/// How things are here, for whoever watches.
std::shared_ptr<const server_reading> server_state::take_reading() {
  auto reading = std::make_shared<server_reading>();
  reading->time = to_seconds(now());
  reading->workers = coordinator_->live_workers();
  reading->workers_waiting = coordinator_->waiting_workers();
  reading->window_open = coordinator_->window_end().has_value();
  reading->updates_waiting = arrived_.size();
  reading->evaluations_waiting = evaluations_.size();
  reading->records_waiting = next_record_ - std::min(next_record_, outbox_.durable_before());
  reading->bytes_down = bytes_down_;
  reading->bytes_up = bytes_up_;
  reading->momentum_norm = momentum_norm_;
  reading->merges = std::exchange(merge_seconds_, {});
  return reading;
}

/// Does it once all records until now are durable, after all that waits already.
void server_state::when_durable(std::function<void()> leave) {
  if (!journals()) {
    leave();
    return;
  }
  outbox_.put(next_record_, std::move(leave));
  deliver();
}

void server_state::deliver() {
  while (const auto leave = outbox_.take()) (*leave)();
}

void server_state::give(assign_round round) {
  when_durable([this, round = std::move(round)] {
    const auto node = nodes_.find(round.work.id.worker);  // it may have left meanwhile
    if (node != nodes_.end()) send(self_, node->second, round);
  });
}

// -- and again ----------------------------------------------------------------------------------

/// After restore(). On the virtual clock the workers do again what they did, and it is compared as
/// it comes; on the wall clock they cannot, and what they sent is taken from the journal at once.
void server_state::continue_the_journal() {
  const auto& restored = *setup_.restored;
  const auto& end = restored.journal->end;
  tail_ = std::make_unique<journal_tail>(posix_file_system(), setup_.directory->path(),
                                         setup_.run->layout, restored.header.record, end);
  if (setup_.run->on_wall_clock()) {
    do_again();
  } else {
    send(self_, recorder_, continue_journal{std::make_shared<const journal_end>(end)});
    if (tail_->next() == nullptr) leave_tail(end);
  }
  flush_records();
}

/// From here on, what happens has not happened before.
void server_state::leave_tail(const journal_end& end) {
  tail_.reset();
  next_record_ = end.next_record;
  if (setup_.run->on_wall_clock()) {
    send(self_, recorder_, continue_journal{std::make_shared<const journal_end>(end)});
  }
  if (finished_) return;  // nothing comes behind the end
  record({note_record{"resumed", fmt::format("from checkpoint {}", setup_.restored->header.number)},
          nullptr});
}

/// Lets everything in the tail happen in its order and at its time. Which rounds are then in flight
/// is in again_ or, from the checkpoint, with the workers.
void server_state::do_again() {
  doing_again_ = true;
  while (const auto* next = tail_ ? tail_->next() : nullptr) {
    const auto number = next->number;
    const auto at = time_of(next->content);
    if (at < events_.now()) fail_at(number);
    if (!bring_back(at)) continue;
    constexpr run_time before{1};
    take_until(unplanned(*next) ? at - before : at);
    next = tail_ ? tail_->next() : nullptr;
    if (next != nullptr && next->number == number) do_unplanned(*next);
  }
  if (tail_) leave_tail(journal_end(tail_->end()));
  if (setup_.run->settings.inner.state != "zero" && !setup_.open)
    inner_states_behind_ += behind_.size();
  doing_again_ = false;
  // Nobody will join.
  if (finished_ && setup_.observer && !setup_.open) setup_.observer->started(setup_.plan);
}

/// Nodes that come and go do so when they like: the queue of events does not know it.
bool server_state::unplanned(const journal_tail::entry& next) const {
  return setup_.open && (std::holds_alternative<join_record>(next.content) ||
                         std::holds_alternative<fence_record>(next.content));
}

/// The updates that were settled next, all at the same time, arrive again. False if the next one
/// was refused, and has been again: that took no event.
bool server_state::bring_back(run_time at) {
  for (std::size_t i = 0;; ++i) {
    const auto* next = tail_->next(i);
    const auto* settled = next != nullptr ? std::get_if<settle_record>(&next->content) : nullptr;
    if (settled == nullptr || settled->settled_at != at) return true;
    const auto round = from_journal(*settled).record;
    if (round.what == fate::abandoned || round.what == fate::run_ended) continue;
    auto update = round.update;
    if (round.what == fate::wrong_base) {  // which one it named is not recorded
      update.base_version = std::numeric_limits<std::uint64_t>::max();
    }
    if (coordinator_->awaits(update.id)) {
      const bool exact = setup_.run->codec_up() == codec::f32;
      arrived_[update.id] = looked_through(std::make_shared<const submission>(submission{
          update, exact ? next->update : nullptr, exact ? nullptr : next->update, nullptr}));
      decided_[update.id] = round.what;
      events_.expect(at, update.id);
      again_.erase(update.id);
      if (!was_done_before(update.id)) behind_.insert(update.id.worker);
    } else if (settles_no_round(round.what)) {
      if (i > 0) return true;
      carry_out(coordinator_->update_arrived(at, update));
      return false;
    }
  }
}

/// The worker's part of the checkpoint has the round as done.
bool server_state::was_done_before(const update_id& id) const {
  const auto saved = setup_.restored->workers.find(id.worker);
  if (saved == setup_.restored->workers.end()) return false;
  const auto& rounds = saved->second->rounds;
  return std::any_of(rounds.begin(), rounds.end(), [&](const round_snapshot& round) {
    return round.update && round.update->id == id;
  });
}

/// Takes what has happened by then, or until the journal says that somebody came or went first.
void server_state::take_until(run_time at) {
  while (!finished_) {
    events_.set_window_end(coordinator_->window_end());
    const auto event = events_.next();
    if (!event || event->time > at) return;
    const auto* next = tail_ ? tail_->next() : nullptr;
    if (next != nullptr && unplanned(*next) && time_of(next->content) <= event->time) return;
    events_.take();
    take(*event);
  }
}

/// A worker that has joined gets the rounds that it was given after the checkpoint.
void server_state::give_again(worker_id worker) {
  const auto end = again_.lower_bound(update_id{worker + 1, 0, 0});
  for (auto it = again_.lower_bound(update_id{worker, 0, 0}); it != end; it = again_.erase(it)) {
    give(std::move(it->second));
  }
}

/// The next record has no event of the queue behind it.
void server_state::do_unplanned(const journal_tail::entry& next) {
  const auto at = time_of(next.content);
  if (const auto* joined = std::get_if<join_record>(&next.content)) {
    carry_out(let_join(at, joined->worker));
  } else if (const auto* lost = std::get_if<fence_record>(&next.content)) {
    let_go(at, lost->worker, false);
  } else if (std::holds_alternative<settle_record>(next.content)) {
    // A merge of which only some updates were on the disk when the run was killed. Nobody was told
    // of it: they have arrived, and are merged when the others have too. Or the end of a run that
    // diverged, which it will do again.
    for (std::size_t i = 1; const auto* later = tail_->next(i); ++i) {
      const bool ends = std::holds_alternative<end_record>(later->content);
      if (!ends && time_of(later->content) != at) fail_at(next.number);
    }
    leave_tail(journal_end(next.before));
  } else {
    fail_at(next.number);
  }
}

}  // namespace rubato
