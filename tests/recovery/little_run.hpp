// A run in small, on the virtual clock and without actors: the coordinator, merging as the server
// does it, and made-up updates, which depend on the round alone. It keeps the journal's records and
// what the parameters were in between.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "config/load.hpp"
#include "config/random.hpp"
#include "coordination/coordinator.hpp"
#include "coordination/event_queue.hpp"
#include "optim/data_parallel.hpp"
#include "optim/merger.hpp"
#include "recovery/records.hpp"
#include "recovery/replay.hpp"
#include "transfer/versions_down.hpp"

namespace rubato {

inline parameter_layout little_layout() {
  parameter_layout layout;
  layout.add("weight", {5, 7});
  layout.add("bias", {5});
  layout.add("running_mean", {3}, section::averaged);
  layout.add("own", {2}, section::local);
  return layout;
}

/// The settings laid over those of a short run of four unequal workers.
inline config little_config(const override_list& settings = {}) {
  const override_list basis{{"model.kind", "mlp"},       {"data.kind", "gaussian-mixtures"},
                            {"run.local_steps", "600"},  {"quota.policy", "fixed"},
                            {"quota.local_steps", "10"}, {"window.grace_seconds", "2.0"}};
  return load_config({.layers = {{.settings = basis}, {.settings = settings}}});
}

inline void fill(const parameter_layout& layout, parameter_buffer& buffer,
                 std::initializer_list<std::uint64_t> keys) {
  random_generator random(1, random_stream::test, keys);
  for (const auto& tensor : layout.tensors()) {
    for (std::size_t i = 0; i < tensor.size; ++i) {
      buffer.data()[tensor.offset + i] = 0.1F * static_cast<float>(random.normal());
    }
  }
}

inline version_ptr made_up(const parameter_layout& layout,
                           std::initializer_list<std::uint64_t> keys) {
  auto buffer = std::make_shared<parameter_buffer>(layout.size());
  fill(layout, *buffer, keys);
  return buffer;
}

class little_run {
 public:
  static constexpr std::int64_t tokens_per_step = 3;

  /// Between two events.
  struct moment {
    std::uint64_t record = 0;  // the next one's number
    replay_start state;
  };

  explicit little_run(const config& c) : settings(c), core_(c, facts()), merger_(layout, c) {
    current_ = made_up(layout, {0});
    clock_.plan(core_.changes());
    remember();
    for (worker_id worker = 0; worker < c.workers.count; ++worker) {
      join(worker, run_time{0});
    }
    while (!core_.finished()) {
      remember();
      clock_.set_window_end(core_.window_end());
      const auto event = clock_.next();
      clock_.take();
      if (const auto* round = std::get_if<update_id>(&event->what)) {
        carry_out(core_.update_arrived(event->time, answer(*round)));
      } else if (const auto* change = std::get_if<worker_change>(&event->what)) {
        take(event->time, *change);
      } else {
        carry_out(core_.tick(event->time));
      }
    }
    remember();
    records.push_back(end_record{core_.version(), clock_.now()});
  }

  config settings;
  parameter_layout layout = little_layout();
  std::vector<journal_record> records;  // their updates lie in this object
  std::vector<moment> moments;

  const version_ptr& parameters() const { return current_; }
  const coordinator& core() const { return core_; }

 private:
  static coordinator::setting facts() {
    const auto layout = little_layout();
    coordinator::setting s;
    s.shard_weights.assign(4, 1.0);
    s.elements = layout.count(section::trainable) + layout.count(section::averaged);
    s.update_bytes = s.elements * sizeof(float);
    s.tokens_per_step = tokens_per_step;
    return s;
  }

  arrival answer(const update_id& id) {
    arrival a;
    a.id = id;
    // With overlap the worker has taken over the version that came with its next round.
    const auto next = rounds_.find({id.worker, id.incarnation, id.sequence + 1});
    a.base_version = (next != rounds_.end() ? next->second : rounds_.at(id)).work.base_version;
    a.elements = facts().elements;
    a.norm = 1.0;
    a.loss = 2.0;
    a.compute_time = rounds_.at(id).work.timing.compute;
    deltas_[id] = made_up(layout, {1, id.worker, id.incarnation, id.sequence});
    return a;
  }

  void join(worker_id worker, run_time at) {
    const auto actions = core_.worker_joined(at, worker);
    records.push_back(join_record{worker, core_.incarnation(worker), at, "here"});
    carry_out(actions);
  }

  void take(run_time at, const worker_change& change) {
    if (change.what == worker_change::kind::leave) {
      records.push_back(fence_record{change.worker, core_.incarnation(change.worker), at});
      carry_out(core_.worker_changed(at, change));
    } else if (change.what == worker_change::kind::join) {
      join(change.worker, at);
    } else {
      carry_out(core_.worker_changed(at, change));
    }
  }

  void carry_out(const action_list& actions) {
    for (const auto& action : actions) {
      std::visit([this](const auto& a) { carry_out(a); }, action);
    }
  }

  void carry_out(const assign_action& action) {
    const auto& id = action.work.id;
    const assigned_round round{action.work, action.group, action.work.steps * tokens_per_step};
    rounds_[id] = round;
    records.push_back(to_journal(round));
    clock_.expect(action.work.due(), id);
    bases_[id] = action.group ? groups_.at(*action.group)
                              : down_.send(id.worker, id.sequence == 0, current_).base;
  }

  void carry_out(const apply_action& action) {
    std::vector<merge_input> inputs;
    const merge_place place{++merges_, action.group, action.inner_lr};
    for (std::size_t i = 0; i < action.updates.size(); ++i) {
      const auto& id = action.updates[i];
      inputs.push_back({deltas_.at(id), bases_.at(id), action.weights[i]});
      places_[id] = place;
    }
    if (action.group) {
      merger mean(layout, plain_mean(settings));
      groups_[*action.group] = mean.merge(inputs.front().base, inputs, action.inner_lr);
      return;
    }
    groups_.clear();
    if (action.kind == round_kind::gradient) {
      if (!data_parallel_) {
        data_parallel_ = std::make_unique<data_parallel>(layout, settings.inner);
      }
      current_ = data_parallel_->step(*current_, inputs, action.inner_lr);
    } else {
      current_ = merger_.merge(current_, inputs, action.inner_lr);
    }
  }

  void carry_out(const settle_action& action) {
    const auto& id = action.record.work.id;
    settled_round round{action.record, rounds_.at(id).start, {}};
    byte_span update;
    if (const auto place = places_.find(id); place != places_.end()) {
      round.merge = place->second;
      update = update_bytes(layout, *deltas_.at(id));
    }
    records.push_back(to_journal(round, update));
    bases_.erase(id);
    clock_.cancel(id);
  }

  void carry_out(const evaluate_action&) {}
  void carry_out(const finish_action&) {}

  void remember() {
    moment m{records.size(), {}};
    m.state.version = core_.version();
    m.state.parameters = current_;
    m.state.outer = merger_.state();
    for (auto& buffer : m.state.outer->buffers) buffer.values = copy_of(*buffer.values);
    if (data_parallel_) {
      m.state.data_parallel = std::make_shared<const inner_state>(copy_of(data_parallel_->state()));
    }
    m.state.groups = groups_;
    m.state.bases = bases_;
    m.state.known = down_.known();
    moments.push_back(std::move(m));
  }

  coordinator core_;
  merger merger_;
  std::unique_ptr<data_parallel> data_parallel_;
  event_queue clock_;
  version_ptr current_;
  std::map<group_id, version_ptr> groups_;
  std::map<update_id, assigned_round> rounds_;
  std::map<update_id, version_ptr> bases_;
  std::map<update_id, version_ptr> deltas_;
  std::map<update_id, merge_place> places_;
  std::uint64_t merges_ = 0;
  versions_down down_{layout, find_codec(settings.network.codec_down).value()};
};

/// One of each way in which updates become parameters, by name.
inline const std::vector<std::pair<std::string, override_list>>& little_methods() {
  static const std::vector<std::pair<std::string, override_list>> methods = {
      {"delayed Nesterov", {}},
      {"Nesterov, synchronous", {{"outer.mode", "sync"}, {"outer.optimizer", "nesterov"}}},
      {"a quorum",
       {{"outer.mode", "sync"}, {"outer.optimizer", "nesterov"}, {"window.quorum", "2"}}},
      {"Adam on accumulated updates", {{"outer.optimizer", "adam"}, {"outer.accumulate", "3"}}},
      {"AdamW", {{"outer.optimizer", "adamw"}, {"outer.weight_decay", "0.1"}}},
      {"mixing", {{"outer.optimizer", "mixing"}, {"outer.lr", "0.5"}}},
      {"look-ahead", {{"outer.optimizer", "lookahead-nesterov"}}},
      {"SlowMo", {{"outer.mode", "sync"}, {"outer.optimizer", "slowmo"}, {"outer.lr", "1.0"}}},
      {"delay compensation",
       {{"outer.optimizer", "sgd"},
        {"staleness.compensation", "adaptive"},
        {"staleness.compensation_strength", "2.0"}}},
      {"weights by staleness",
       {{"outer.optimizer", "momentum"},
        {"staleness.weight", "polynomial"},
        {"staleness.limit", "2"}}},
      {"groups",
       {{"outer.mode", "sync"},
        {"outer.optimizer", "nesterov"},
        {"outer.group_size", "2"},
        {"outer.group_rounds", "3"}}},
      {"data-parallel, then local",
       {{"outer.mode", "sync"},
        {"outer.optimizer", "sgd"},
        {"quota.stages", R"(["0 data-parallel", "100 10"])"}}},
      {"compensation, of bases in int4",
       {{"outer.optimizer", "sgd"},
        {"staleness.compensation", "constant"},
        {"network.codec_down", "int4"}}},
      {"overlap",
       {{"network.overlap", "true"},
        {"network.latency_seconds", "[2]"},
        {"window.grace_seconds", "0"}}},
      {"workers that leave and return",
       {{"workers.events", R"(["5 0 leave 20", "11 2 leave", "30 1 pause 9"])"}}},
  };
  return methods;
}

}  // namespace rubato
