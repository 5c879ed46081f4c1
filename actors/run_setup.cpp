#include "actors/run_setup.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "actors/parameter_file.hpp"
#include "config/error.hpp"
#include "config/registration.hpp"
#include "model/numerics.hpp"
#include "optim/inner_optimizer.hpp"
#include "transfer/buffer_coding.hpp"

namespace rubato {
namespace {

void check_halves(const config& c, const dataset& data) {
  if (c.evaluate.half == "all") return;
  for (std::size_t i = 0; i < data.shards(); ++i) {
    if (data.held_out(i).size() >= 2) continue;
    throw usage_error(fmt::format(
        "evaluate.half = \"{}\": the held-out data of shard \"{}\" is one batch and has "
        "no halves; hold out more (data.held_out) or use smaller batches",
        c.evaluate.half, data.info(i).name));
  }
}

}  // namespace

// Where a system does not have it or does not allow it, there is nothing to be done.
patient_threads::patient_threads() {
  const sched_param ordinary{};
  changed_ =
      sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &ordinary) == 0;
}

patient_threads::~patient_threads() {
  const sched_param ordinary{};
  if (changed_) sched_setscheduler(0, SCHED_OTHER, &ordinary);
}

std::int64_t lane_count(const config& c) {
  const auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  const auto wanted = c.run.threads > 0
                          ? c.run.threads
                          : std::max<std::int64_t>(1, cores / c.workers.threads_per_lane);
  // One lane for each worker is all that can be used.
  return std::min(wanted, c.workers.count);
}

std::shared_ptr<run_context> make_context(const config& c, const run_parts& parts,
                                          bool initial_version, data_use use) {
  auto run = std::make_shared<run_context>();
  run->settings = c;
  run->data = parts.data ? parts.data : std::shared_ptr<const dataset>(make_dataset(c, use));
  if (use == data_use::all) check_halves(c, *run->data);
  run->shard_weights = shard_weights(c, *run->data);
  run->make_learner = parts.make_learner ? parts.make_learner : make_learner_factory(c, *run->data);
  const auto model = run->make_learner();
  run->layout = model->layout();
  run->model_origin = model->origin();
  run->deltas = std::make_shared<buffer_pool>(run->layout.size());
  run->state_folder = state_folder(c.inner);
  // Where not even one fits, it is said before a run begins.
  if (c.inner.state_files) parameter_buffer(run->layout.size(), run->state_folder);
  run->residuals = std::make_shared<buffer_pool>(run->layout.size(), run->state_folder);
  if (parts.activity) run->activity = parts.activity;
  run->links = parts.links;
  run->encodings = std::make_shared<buffer_pool>(encoded_floats(run->codec_up(), run->layout));
  if (!initial_version) return run;
  auto initial = std::make_shared<parameter_buffer>(run->layout.size());
  if (!parts.initialize && !c.run.init.empty()) {
    load_parameters(c.run.init, run->layout, *initial);
  } else {
    if (parts.initialize) {
      parts.initialize(*model);
    } else {
      initialize_parameters(c, *model);
    }
    const auto values = model->parameters();
    std::copy(values.begin(), values.end(), initial->data());
  }
  run->initial = std::move(initial);
  return run;
}

run_manifest manifest_of(const run_context& run, const std::string& version) {
  run_manifest manifest{run.layout, {}, {}, {}};
  const auto add_content = [&manifest](const char* item, const std::string& value) {
    if (!value.empty()) manifest.contents.emplace_back(item, value);
  };
  add_content("the SHA-256 of model.path", run.model_origin);
  add_content("what the tensors of an example are", run.data->content());
  const auto& c = run.settings;
  add_content("the version of model.kind", registered_version("model.kind", c.model.kind));
  add_content("the version of data.kind", registered_version("data.kind", c.data.kind));
  for (std::size_t i = 0; i < run.data->shards(); ++i) {
    const auto info = run.data->info(i);
    manifest.shards.push_back({info.name, info.training_size});
  }
  if (!run.on_wall_clock()) {  // where each node has its own time, it may have its own bits
    manifest.numerics = numerics_of(run.settings);
    manifest.numerics.emplace_back("rubato", version);
  }
  return manifest;
}

network_identity identity_of(const config::network_section& network) {
  return {network.cert, network.key, network.ca};
}

}  // namespace rubato
