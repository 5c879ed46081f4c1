// What the server puts into a checkpoint, and how it goes on from one.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "actors/server.hpp"
#include "config/error.hpp"
#include "config/load.hpp"
#include "coordination/state_json.hpp"
#include "transfer/buffer_coding.hpp"

namespace rubato {

using nlohmann::json;

// What an older program did not save is as in a new one.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(evaluation, version, local_steps, tokens,
                                                clock_seconds, wall_seconds, loss, perplexity,
                                                bits_per_byte, accuracy, top5, metrics, shard_loss,
                                                quotas)

void server_state::take_checkpoint() {
  checkpoint_ = coordinator_->version();
  checkpointing_ = true;
  checkpoint_is_last_ = stopping_;
  tell_recorder(begin_checkpoint{std::make_shared<const snapshot>(capture()), *checkpoint_,
                                 nodes_.size(), next_record_});
  // Messages keep their order, in the outbox too: each worker is told after all that happened
  // before, and before all that happens from now on.
  for (const auto& [worker, node] : nodes_) {
    when_durable([this, to = node, worker] { send(self_, to, capture_worker{worker, false}); });
  }
}

/// Everything but what the workers know. Nothing is copied: whatever a buffer belongs to goes on in
/// another one.
snapshot server_state::capture() {
  const auto& run = *setup_.run;
  snapshot part;
  auto& values = part.values;
  values["config"] = to_toml(run.settings);
  values["layout"] = layout_json(run.layout);
  values["model_origin"] = run.model_origin;
  put_merging(
      part,
      {coordinator_->version(), current_, merger_->state(),
       data_parallel_ ? std::make_shared<inner_state>(copy_of(data_parallel_->state())) : nullptr,
       group_versions_, bases_, down_->known()});
  values["coordinator"] = coordinator_->state();
  values["events"] = events_.state();
  values["clock"] = run.clock.now();
  put_inner(part, "mean_inner", mean_inner_);

  // Those that wait for the end of their round. Others are still their workers' own.
  auto& held = values["held"] = json::array();
  for (const auto& [id, content] : arrived_) {
    if (coordinator_->awaits(id)) continue;
    const auto name = fmt::format("held.{}", held.size());
    held.push_back(content->update);
    // The journal has no values of an update that was too stale to be merged.
    const auto& update = content->encoded ? content->encoded : content->delta;
    if (update) part.buffers[name] = update;
    put_inner(part, name, content->inner);
  }
  auto& latest = values["latest"] = json::array();
  if (similarity_) {
    for (const auto& [worker, delta] : similarity_->latest()) {
      latest.push_back(worker);
      part.buffers[fmt::format("latest.{}", worker)] = delta;
    }
  }
  auto& evaluations = values["evaluations"] = json::array();
  for (const auto& pending : evaluations_) {
    part.buffers[fmt::format("evaluation.{}", evaluations.size())] = pending.parameters;
    evaluations.push_back(*pending.context);
  }

  values["evaluating"] = evaluating_;
  values["divergence"] = divergence_->state();
  values["staleness"] = staleness_.state();
  values["recent_loss"] = recent_loss_;
  values["recent_staleness"] = recent_staleness_;
  values["bytes_down"] = bytes_down_;
  values["bytes_up"] = bytes_up_;
  values["bytes_within_groups"] = bytes_within_groups_;
  values["wire_down"] = run.traffic->down.load();
  values["wire_up"] = run.traffic->up.load();
  values["merges"] = merges_;
  auto& starts = values["starts"] = json::array();
  for (const auto& [id, group] : starts_) starts.push_back({{"round", id}, {"group", group}});
  values["inner_states_behind"] = inner_states_behind_;
  values["late_rounds"] = late_rounds_;
  values["late_sum"] = late_sum_;
  values["late_max"] = late_max_;
  values["evaluations_skipped"] = evaluations_skipped_;
  values["last"] = last_;
  values["best"] = best_;
  return part;
}

void server_state::restore() {
  const auto& run = *setup_.run;
  auto& part = setup_.restored->run;
  const auto& values = part.values;
  if (layout_from(values.at("layout")) != run.layout) {
    throw run_error(
        "the checkpoint is of a model with other tensors; has the data changed since then?");
  }
  if (values.value("model_origin", "") != run.model_origin) {
    throw run_error("model.path is another file than the one that the run was begun with");
  }
  coordinator_->restore(values.at("coordinator"));
  events_.restore(values.at("events"));
  if (!run.on_wall_clock()) {
    for (const auto& work : coordinator_->outstanding()) events_.expect(work.due(), work.id);
  }
  mean_inner_ = take_inner(part, "mean_inner");

  const auto buffer = [&](const std::string& name, codec how = codec::f32) {
    const auto found = part.buffers.find(name);
    const auto size =
        how == codec::f32 ? run.layout.size() : encoded_floats(run.codec_up(), run.layout);
    if (found == part.buffers.end() || found->second->size() != size) {
      throw run_error(fmt::format("the checkpoint has no buffer \"{}\" of this model", name));
    }
    return found->second;
  };
  buffer("parameters");
  const auto& held = values.at("held");
  for (std::size_t i = 0; i < held.size(); ++i) {
    const auto name = fmt::format("held.{}", i);
    const auto update = held[i].get<arrival>();
    const auto content = part.buffers.contains(name) ? buffer(name, run.codec_up()) : nullptr;
    const bool exact = run.codec_up() == codec::f32;
    arrived_[update.id] = looked_through(std::make_shared<const submission>(submission{
        update, exact ? content : nullptr, exact ? nullptr : content, take_inner(part, name)}));
  }
  if (similarity_) {
    for (const auto& worker : values.at("latest")) {
      const auto id = worker.get<worker_id>();
      similarity_->set(id, buffer(fmt::format("latest.{}", id)));
    }
  }
  const auto& evaluations = values.at("evaluations");
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    evaluations_.push_back({buffer(fmt::format("evaluation.{}", i)),
                            std::make_shared<const evaluation>(evaluations[i].get<evaluation>())});
  }
  auto merging = take_merging(part);
  current_ = merging.parameters;
  merger_->restore(std::move(merging.outer.value()));
  if (merging.data_parallel) {
    data_parallel_ = std::make_unique<data_parallel>(run.layout, run.settings.inner);
    data_parallel_->restore(std::move(*merging.data_parallel));
  }
  group_versions_ = std::move(merging.groups);
  bases_ = std::move(merging.bases);
  down_->restore(std::move(merging.known));

  values.at("evaluating").get_to(evaluating_);
  divergence_->restore(values.at("divergence"));
  staleness_.restore(values.at("staleness"));
  values.at("recent_loss").get_to(recent_loss_);
  values.at("recent_staleness").get_to(recent_staleness_);
  values.at("bytes_down").get_to(bytes_down_);
  values.at("bytes_up").get_to(bytes_up_);
  values.at("bytes_within_groups").get_to(bytes_within_groups_);
  run.traffic->down = values.value("wire_down", std::uint64_t{0});  // not in older checkpoints
  run.traffic->up = values.value("wire_up", std::uint64_t{0});
  values.at("merges").get_to(merges_);
  for (const auto& start : values.at("starts")) {
    starts_[start.at("round").get<update_id>()] = start.at("group").get<group_id>();
  }
  values.at("inner_states_behind").get_to(inner_states_behind_);
  values.at("late_rounds").get_to(late_rounds_);
  values.at("late_sum").get_to(late_sum_);
  values.at("late_max").get_to(late_max_);
  values.at("evaluations_skipped").get_to(evaluations_skipped_);
  values.at("last").get_to(last_);
  values.at("best").get_to(best_);
  checkpoint_ = setup_.restored->header.number;
  next_record_ = setup_.restored->header.record;
  outbox_.durable(next_record_);
  begun_ = true;
}

/// What a worker that joins goes on with: where it was at the checkpoint, but for what the journal
/// says of the time after that; what it did then it does not remember. Null if there is nothing.
std::shared_ptr<const worker_snapshot> server_state::saved(worker_id worker) {
  if (!setup_.restored) return nullptr;
  const auto found = setup_.restored->workers.extract(worker);
  if (!found) return nullptr;
  auto content = std::make_shared<worker_snapshot>(*found.mapped());
  std::erase_if(content->rounds, [this](const round_snapshot& round) {
    return !coordinator_->awaits(round.work.id);
  });
  if (behind_.contains(worker)) {
    content->went = {};
    content->replied = false;
  }
  return content;
}

/// What a worker that comes back as it was has to hand in, with what it needs if it has not got it.
/// Null if it has to begin anew.
std::shared_ptr<const worker_snapshot> server_state::left_with(const worker_life& life) {
  if (life.incarnation != coordinator_->incarnation(life.worker)) return nullptr;
  auto content = std::make_shared<worker_snapshot>();
  content->worker = life.worker;
  content->incarnation = life.incarnation;
  for (const auto& work : coordinator_->outstanding()) {
    if (work.id.worker != life.worker) continue;
    auto& round = content->rounds.emplace_back();
    round.work = work;
    if (const auto given = again_.extract(work.id)) {
      round.base = given.mapped().base;
      round.steps_before = given.mapped().steps_before;
    } else if (const auto saved = setup_.restored->workers.find(life.worker);
               saved != setup_.restored->workers.end()) {
      for (const auto& r : saved->second->rounds) {
        if (r.work.id == work.id) round.base = r.base;
      }
    }
    const auto& has = life.sequences;
    if (!round.base && std::find(has.begin(), has.end(), work.id.sequence) == has.end()) {
      return nullptr;
    }
  }
  return content;
}

}  // namespace rubato
