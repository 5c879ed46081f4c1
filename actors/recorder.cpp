#include "actors/recorder.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "actors/parameter_file.hpp"
#include "monitoring/summary.hpp"

namespace rubato {
namespace {

using json = nlohmann::ordered_json;

constexpr std::uint64_t report_every = 64;

// No group of records is larger than this, but for the last that went into it.
constexpr std::size_t group_bytes = std::size_t{256} << 20;

json number(double x) {
  return std::isfinite(x) ? json(x) : json(nullptr);
}

/// How long its version and its update travelled: simulated, or measured.
double received_seconds(const update_record& record, const round_measures& took) {
  return to_seconds(record.work.timing.download + took.received);
}
double sent_seconds(const update_record& record, const round_measures& took) {
  return to_seconds(record.work.timing.upload + took.sent);
}

std::string to_json_line(const update_record& record, const round_measures& took) {
  const auto& work = record.work;
  json line;
  line["worker"] = work.id.worker;
  line["incarnation"] = work.id.incarnation;
  line["sequence"] = work.id.sequence;
  line["fate"] = to_string(record.what);
  line["base"] = work.base_version;
  line["version"] = record.version;
  line["staleness"] = record.staleness;
  line["weight"] = number(record.weight);
  line["steps"] = work.steps;
  line["tokens"] = record.tokens;
  line["shard"] = work.shard;
  line["data_position"] = work.data_position;
  line["kind"] = to_string(work.kind);
  line["rate_span"] = {
      {"start", work.rates.start}, {"total", work.rates.total}, {"warmup", work.rates.warmup}};
  line["loss"] = number(record.update.loss);
  line["norm"] = number(record.update.norm);
  line["cosine_to_momentum"] = number(record.cosine_to_momentum);
  line["cosine_to_others"] = number(record.cosine_to_others);
  line["assigned_seconds"] = to_seconds(work.assigned_at);
  line["received_seconds"] = received_seconds(record, took);
  line["compute_seconds"] = to_seconds(record.update.compute_time);
  line["sent_seconds"] = sent_seconds(record, took);
  line["settled_seconds"] = to_seconds(record.settled_at);
  line["late_seconds"] = to_seconds(record.update.late);
  return line.dump();
}

round_begun to_probe(const assigned_round& round) {
  const auto& work = round.work;
  return {work.id.worker,    work.id.incarnation, work.id.sequence,
          work.base_version, work.steps,          to_seconds(work.assigned_at)};
}

round_ended to_probe(const update_record& record, const round_measures& took) {
  const auto& work = record.work;
  round_ended round;
  round.worker = work.id.worker;
  round.incarnation = work.id.incarnation;
  round.sequence = work.id.sequence;
  round.fate = to_string(record.what);
  round.base = work.base_version;
  round.version = record.version;
  round.staleness = record.staleness;
  round.steps = work.steps;
  round.tokens = record.tokens;
  round.loss = record.update.loss;
  round.norm = record.update.norm;
  round.cosine_to_momentum = record.cosine_to_momentum;
  round.cosine_to_others = record.cosine_to_others;
  round.assigned = to_seconds(work.assigned_at);
  round.computed = to_seconds(record.update.compute_time);
  round.received = received_seconds(record, took);
  round.sent = sent_seconds(record, took);
  round.settled = to_seconds(record.settled_at);
  round.data_wait = to_seconds(took.data_wait);
  return round;
}

void tell(run_probe& probe, const run_event& event) {
  if (const auto* assigned = std::get_if<assigned_round>(&event.what)) {
    probe.assigned(to_probe(*assigned));
  } else if (const auto* settled = std::get_if<settled_round>(&event.what)) {
    probe.settled(to_probe(settled->record, event.took));
  } else if (const auto* fenced = std::get_if<fence_record>(&event.what)) {
    probe.worker_gone(fenced->worker);
  }
}

using pointer = actor_pointer<recorder_actor, recorder_state>;

void open_files(pointer self) {
  auto& state = state_of(self);
  const auto& record = state.setup.restored;
  if (state.run->settings.journal.enabled) {
    state.journal = std::make_unique<run_journal>(posix_file_system(),
                                                  state.setup.directory->path(), state.run->layout);
    if (!record.is_null()) state.journal->restore(record.at("books"));
    if (state.setup.first_record) {
      state.journal->begin(state.setup.identity, *state.setup.first_record);
    }
  }
  // Of a run that goes on, what came after the checkpoint happens again.
  const auto open = [&](const char* name, const char* file) {
    const auto keep = record.is_null() ? 0 : record.at(name).get<std::uint64_t>();
    return std::make_unique<line_file>(state.setup.directory->file(file), keep);
  };
  state.updates = open("updates", "updates.jsonl");
  state.metrics = open("metrics", "metrics.jsonl");
  if (state.setup.probe) state.setup.probe->began(state.setup.plan);
}

void commit(pointer self) {
  auto& state = state_of(self);
  const auto begun = state.run->clock.now();
  state.journal->commit();
  if (state.setup.probe) {
    state.setup.probe->journal_committed(to_seconds(state.run->clock.now() - begun));
  }
  send(self, state.server, records_durable{state.journal->durable_before()});
}

void record(pointer self, const record_events& batch) {
  auto& state = state_of(self);
  for (const auto& event : *batch.content) {
    if (const auto* settled = std::get_if<settled_round>(&event.what)) {
      state.updates->append(to_json_line(settled->record, event.took));
    }
    if (event.number) state.taken_before = *event.number + 1;
    if (state.setup.probe) tell(*state.setup.probe, event);
  }
  if (batch.reading) state.setup.probe->read(*batch.reading);
  if (!state.journal) {
    if (state.taken_before - state.reported < report_every) return;
    state.reported = state.taken_before;
    send(self, state.server, records_durable{state.reported});
    return;
  }
  state.journal->add(batch.content);
  if (state.setup.probe) state.setup.probe->journal_waits(state.journal->pending_bytes());
  if (state.journal->pending_bytes() >= group_bytes) {
    commit(self);
  } else if (!std::exchange(state.committing, true)) {
    send(self, recorder_actor(self), commit_records{});  // behind all that waits here already
  }
}

void continue_with(pointer self, const journal_end& end) {
  state_of(self).journal->go_on(end);
  commit(self);
}

void go_on_writing(pointer self) {
  if (!std::exchange(state_of(self).slicing, true)) {
    send(self, recorder_actor(self), write_slice{});
  }
}

void begin(pointer self, const begin_checkpoint& request) {
  auto& state = state_of(self);
  const auto& directory = state.setup.directory->path();
  const file_header header{state.setup.identity, request.version,
                           state.journal ? request.record : 0};
  state.checkpoint =
      std::make_unique<snapshot_writer>(posix_file_system(), checkpoint_folder(directory), header);
  state.workers_awaited = request.workers;
  state.checkpoint_version = request.version;
  snapshot record;
  record.values["updates"] = state.updates->sync();
  record.values["metrics"] = state.metrics->sync();
  record.values["sha256"] =
      parameters_sha256(state.run->layout, request.run->buffers.at("parameters")->span());
  if (state.journal) record.values["books"] = state.journal->books();
  state.checkpoint->add(std::string(run_part), *request.run);
  state.checkpoint->add(std::string(record_part), std::move(record));
  go_on_writing(self);
}

void add(pointer self, const worker_snapshot& worker) {
  auto& state = state_of(self);
  if (!state.checkpoint) return;  // the run has ended
  const auto name = worker_part(worker.worker);
  state.captured[name] = worker.worker;
  state.workers_awaited -= 1;
  state.checkpoint->add(name, to_snapshot(worker));
  go_on_writing(self);
}

void write(pointer self) {
  auto& state = state_of(self);
  state.slicing = false;
  if (!state.checkpoint) return;
  if (state.checkpoint->busy()) {
    if (const auto complete = state.checkpoint->write_slice()) {
      if (const auto worker = state.captured.extract(*complete)) {
        send(self, state.server, capture_written{worker.mapped()});
      }
    }
    go_on_writing(self);
  } else if (state.workers_awaited == 0) {
    const auto& settings = state.run->settings;
    if (state.journal) commit(self);  // the records that it stands for come first
    state.checkpoint->commit();
    state.checkpoint.reset();
    if (state.setup.probe) state.setup.probe->checkpointed(state.checkpoint_version);
    // A whole journal is replayed from the first one.
    const bool whole = state.journal && settings.journal.keep == "all";
    keep_newest(posix_file_system(), checkpoint_folder(state.setup.directory->path()),
                static_cast<std::size_t>(settings.checkpoint.keep), whole);
    if (state.journal && !whole) state.journal->keep_tail();
    send(self, state.server, checkpoint_written{});
  }
}

/// Models that came from PyTorch go back there.
void save_exported(const run_directory& directory, const run_context& run,
                   const parameter_buffer& parameters) {
  if (run.settings.model.kind != "torchscript") return;
  const auto model = run.make_learner();
  const auto values = parameters.span();
  std::copy(values.begin(), values.end(), model->parameters().begin());
  directory.write("model.pt", model->exported());
}

}  // namespace

recorder_actor::behavior_type recorder(actor_pointer<recorder_actor, recorder_state> self,
                                       run_context_ptr run, server_actor server,
                                       recorder_setup setup) {
  auto& state = state_of(self);
  state.run = std::move(run);
  state.server = std::move(server);
  state.setup = std::move(setup);
  guarded(self, "recorder", [&] { open_files(self); });
  return {
      [self](const record_events& batch) {
        guarded(self, "recorder", [&] { record(self, batch); });
      },
      [self](const continue_journal& journal) {
        guarded(self, "recorder", [&] { continue_with(self, *journal.end); });
      },
      [self](const commit_records&) {
        guarded(self, "recorder", [&] {
          state_of(self).committing = false;
          commit(self);
        });
      },
      [self](const version_evaluated& evaluated) {
        guarded(self, "recorder", [&] {
          auto& state = state_of(self);
          state.metrics->append(to_json_line(*evaluated.result));
          if (state.setup.probe) state.setup.probe->evaluated(*evaluated.result);
          state.metrics->flush();
          state.updates->flush();
        });
      },
      [self](const record_change& change) {
        guarded(self, "recorder", [&] {
          auto& state = state_of(self);
          state.metrics->append(to_json_line(*change.content));
          if (state.setup.probe) state.setup.probe->worker_changed(*change.content);
        });
      },
      [self](const begin_checkpoint& request) {
        guarded(self, "recorder", [&] { begin(self, request); });
      },
      [self](const worker_captured& worker) {
        guarded(self, "recorder", [&] { add(self, *worker.content); });
      },
      [self](const write_slice&) { guarded(self, "recorder", [&] { write(self); }); },
      [self](const record_end& end) {
        guarded(self, "recorder", [&] {
          auto& state = state_of(self);
          state.checkpoint.reset();
          if (state.journal) commit(self);
          state.updates->flush();
          state.metrics->flush();
          save_parameters(state.setup.directory->file("parameters.safetensors"), state.run->layout,
                          *end.parameters);
          save_exported(*state.setup.directory, *state.run, *end.parameters);
          state.setup.directory->write("summary.json", to_json(*end.summary));
          if (state.setup.probe) state.setup.probe->ended(*end.summary);
          send(self, state.server, recording_finished{});
        });
      },
  };
}

}  // namespace rubato
