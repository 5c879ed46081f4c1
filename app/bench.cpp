#include <cstdio>
#include <string>
#include <vector>

#include "app/commands.hpp"
#include "bench/cluster.hpp"
#include "bench/journal.hpp"
#include "bench/memory.hpp"
#include "bench/merge.hpp"
#include "bench/recovery.hpp"
#include "bench/scale.hpp"
#include "bench/step.hpp"
#include "bench/train.hpp"
#include "bench/wire.hpp"
#include "config/error.hpp"
#include "config/instruction_set.hpp"

namespace rubato {
namespace {

/// For measurements that need no model and no data.
config made_up_run(const override_list& overrides) {
  override_list settings{{"model.kind", "mlp"}, {"data.kind", "gaussian-mixtures"}};
  settings.insert(settings.end(), overrides.begin(), overrides.end());
  auto c = load_config({.layers = {{.settings = settings}}});
  use_instruction_set(c.run.instruction_set);
  return c;
}

template <class Report>
int show(const Report& report, bool as_json) {
  std::fputs((as_json ? to_json(report) : to_text(report)).c_str(), stdout);
  return exit_done;
}

}  // namespace

int bench_step(const bench_step_options& options) {
  if (options.bare) return bench_bare_step(options);
  const auto c = config_of_bench(options.config_paths, options.overrides);
  return show(measure_step(c, options.measurement, tell_progress), options.json);
}

int bench_train(const bench_train_options& options) {
  const auto c = config_of_bench(options.config_paths, options.overrides);
  return show(measure_train(c, options.measurement, tell_progress), options.json);
}

int bench_journal(const bench_journal_options& options) {
  auto measurement = options.measurement;
  measurement.update_bytes = static_cast<std::uint64_t>(options.update_kib) << 10;
  return show(measure_journal(measurement, tell_progress), options.json);
}

int bench_merge(const bench_merge_options& options) {
  return show(measure_merge(made_up_run(options.overrides), options.measurement, tell_progress),
              options.json);
}

int bench_recovery(const bench_recovery_options& options) {
  return show(measure_recovery(made_up_run(options.overrides), options.measurement, tell_progress),
              options.json);
}

int bench_wire(const bench_wire_options& options) {
  if (!options.send) return show(measure_wire(options.measurement, tell_progress), options.json);
  send_over_wire(options.measurement);
  return exit_done;
}

int bench_memory(const bench_memory_options& options) {
  return show(measure_memory(options.measurement, tell_progress), options.json);
}

int bench_scale(const bench_scale_options& options) {
  return show(measure_scale(options.measurement, tell_progress), options.json);
}

int bench_cluster(const bench_cluster_options& options) {
  auto measurement = options.measurement;
  measurement.up = *find_codec(options.codec_up);
  measurement.down = *find_codec(options.codec_down);
  return show(measure_cluster(measurement, tell_progress), options.json);
}

}  // namespace rubato
