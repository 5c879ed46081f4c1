// What all actors of a run share, complete before the first of them starts and then never changed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "coordination/wall_clock.hpp"
#include "data/dataset.hpp"
#include "model/learner.hpp"
#include "monitoring/probes.hpp"
#include "optim/parameter_buffer.hpp"
#include "transfer/codec.hpp"

namespace rubato {

/// Payload of what crossed between this process, the server, and its nodes: parameters as they were
/// sent, repetitions included. Thread-safe.
struct link_traffic {
  std::atomic<std::uint64_t> down{0};  // bytes sent
  std::atomic<std::uint64_t> up{0};    // bytes received
};

struct run_context {
  config settings;
  std::shared_ptr<const dataset> data;
  learner_factory make_learner;
  parameter_layout layout;
  std::string model_origin;                // see learner::origin()
  version_ptr initial;                     // version 0; null where a run goes on
  std::shared_ptr<buffer_pool> deltas;     // for pseudo-gradients, shared by the lanes
  std::shared_ptr<buffer_pool> encodings;  // for what these are on their way
  std::vector<double> shard_weights;       // of sampling and of the held-out mean; sums to anything
  wall_clock clock;                        // real time since just before the first actor
  std::shared_ptr<lane_activity> activity = std::make_shared<lane_activity>();  // of this process

  std::shared_ptr<link_traffic> traffic = std::make_shared<link_traffic>();
  std::shared_ptr<link_probe> links;  // may be null

  std::string state_folder;                // see there
  std::shared_ptr<buffer_pool> residuals;  // of updates that are encoded, in the same place

  codec codec_up() const { return find_codec(settings.network.codec_up).value(); }
  codec codec_down() const { return find_codec(settings.network.codec_down).value(); }
  bool on_wall_clock() const { return settings.clock.mode == "wall"; }
};

using run_context_ptr = std::shared_ptr<const run_context>;

}  // namespace rubato
