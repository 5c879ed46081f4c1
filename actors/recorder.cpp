#include "actors/recorder.hpp"

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

json number(double x) {
  return std::isfinite(x) ? json(x) : json(nullptr);
}

std::string to_json_line(const update_record& record) {
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
  line["compute_seconds"] = to_seconds(record.update.compute_time);
  line["settled_seconds"] = to_seconds(record.settled_at);
  line["late_seconds"] = to_seconds(record.update.late);
  return line.dump();
}

using pointer = actor_pointer<recorder_actor, recorder_state>;

void open_files(pointer self) {
  auto& state = state_of(self);
  // Of a run that goes on, what came after the checkpoint happens again.
  const auto open = [&](const char* name, const char* file) {
    const auto& restored = state.setup.restored;
    const auto keep = restored.is_null() ? 0 : restored.at(name).get<std::uint64_t>();
    return std::make_unique<line_file>(state.setup.directory->file(file), keep);
  };
  state.updates = open("updates", "updates.jsonl");
  state.metrics = open("metrics", "metrics.jsonl");
}

void go_on_writing(pointer self) {
  if (!std::exchange(state_of(self).slicing, true)) {
    send(self, recorder_actor(self), write_slice{});
  }
}

void begin(pointer self, const begin_checkpoint& request) {
  auto& state = state_of(self);
  const auto& directory = state.setup.directory->path();
  state.checkpoint =
      std::make_unique<snapshot_writer>(posix_file_system(), checkpoint_folder(directory),
                                        file_header{state.setup.identity, request.version, 0});
  state.workers_awaited = request.workers;
  snapshot record;
  record.values["updates"] = state.updates->sync();
  record.values["metrics"] = state.metrics->sync();
  record.values["sha256"] =
      parameters_sha256(state.run->layout, request.run->buffers.at("parameters")->span());
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
    state.checkpoint->commit();
    state.checkpoint.reset();
    keep_newest(posix_file_system(), checkpoint_folder(state.setup.directory->path()),
                static_cast<std::size_t>(state.run->settings.checkpoint.keep));
    send(self, state.server, checkpoint_written{});
  }
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
      [self](const record_update& update) {
        guarded(self, "recorder", [&] {
          auto& state = state_of(self);
          state.updates->append(to_json_line(*update.content));
          if (++state.unreported == report_every) {
            send(self, state.server, records_taken{std::exchange(state.unreported, 0)});
          }
        });
      },
      [self](const version_evaluated& evaluated) {
        guarded(self, "recorder", [&] {
          auto& state = state_of(self);
          state.metrics->append(to_json_line(*evaluated.result));
          state.metrics->flush();
          state.updates->flush();
        });
      },
      [self](const record_change& change) {
        guarded(self, "recorder",
                [&] { state_of(self).metrics->append(to_json_line(*change.content)); });
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
          state.updates->flush();
          state.metrics->flush();
          save_parameters(state.setup.directory->file("parameters.safetensors"), state.run->layout,
                          *end.parameters);
          state.setup.directory->write("summary.json", to_json(*end.summary));
          send(self, state.server, recording_finished{});
        });
      },
  };
}

}  // namespace rubato
