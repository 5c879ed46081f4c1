// The evaluator actor: loss, perplexity, accuracies and bits per byte of a version on the held-out
// batches of every shard, on a thread and a network of its own.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "actors/context.hpp"
#include "actors/interfaces.hpp"

namespace rubato {

/// Results of `model` on the held-out batches of `half` (evaluate.half: "all", or every other one),
/// shards weighted by `shard_weights`; the fields that say when and which version are left as they
/// are. A shard without such a batch gives NaN. Where running statistics are local
/// (model.norm_statistics), those of `model` are measured on training batches first.
void evaluate_held_out(learner& model, const dataset& data,
                       const std::vector<double>& shard_weights, std::string_view half,
                       evaluation& result);

struct evaluator_state {
  evaluator_state() = default;  // no aggregate, see messages/caf.hpp
  static inline const char* name = "evaluator";

  run_context_ptr run;
  server_actor server;
  std::unique_ptr<learner> model;  // made on the evaluator's own thread, at its first version
};

evaluator_actor::behavior_type evaluator(actor_pointer<evaluator_actor, evaluator_state> self,
                                         run_context_ptr run, server_actor server);

}  // namespace rubato
