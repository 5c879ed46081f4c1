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
  line["assigned_seconds"] = to_seconds(work.assigned_at);
  line["compute_seconds"] = to_seconds(record.update.compute_time);
  line["settled_seconds"] = to_seconds(record.settled_at);
  line["late_seconds"] = to_seconds(record.update.late);
  return line.dump();
}

}  // namespace

recorder_actor::behavior_type recorder(actor_pointer<recorder_actor, recorder_state> self,
                                       run_context_ptr run, server_actor server,
                                       std::shared_ptr<const run_directory> directory) {
  auto& state = state_of(self);
  state.run = std::move(run);
  state.server = std::move(server);
  state.directory = std::move(directory);
  guarded(self, "recorder", [&] {
    state.updates = std::make_unique<line_file>(state.directory->file("updates.jsonl"));
    state.metrics = std::make_unique<line_file>(state.directory->file("metrics.jsonl"));
  });
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
      [self](const record_end& end) {
        guarded(self, "recorder", [&] {
          auto& state = state_of(self);
          state.updates->flush();
          state.metrics->flush();
          save_parameters(state.directory->file("parameters.safetensors"), state.run->layout,
                          *end.parameters);
          state.directory->write("summary.json", to_json(*end.summary));
          send(self, state.server, recording_finished{});
        });
      },
  };
}

}  // namespace rubato
