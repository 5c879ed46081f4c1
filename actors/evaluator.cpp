#include "actors/evaluator.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace rubato {
namespace {

/// Gives the model the running statistics that versions come without where each worker has its own:
/// their mean over the first training batches of every shard, as many as it holds out.
void measure_statistics(learner& model, const dataset& data) {
  double measured = 0.0;
  for (std::size_t shard = 0; shard < data.shards(); ++shard) {
    for (std::size_t i = 0; i < data.held_out(shard).size(); ++i) {
      model.update_statistics(data.training_batch(shard, i), 1.0 / ++measured);
    }
  }
}

}  // namespace

void evaluate_held_out(learner& model, const dataset& data,
                       const std::vector<double>& shard_weights, std::string_view half,
                       evaluation& result) {
  const std::size_t first = half == "b" ? 1 : 0;
  const std::size_t stride = half == "all" ? 1 : 2;
  if (model.layout().count(section::local) > 0) measure_statistics(model, data);
  double weight_sum = 0.0;
  result.loss = result.accuracy = result.top5 = 0.0;
  result.shard_loss.clear();
  result.metrics.clear();
  for (std::size_t shard = 0; shard < data.shards(); ++shard) {
    evaluation_sums sums;
    const auto& batches = data.held_out(shard);
    for (std::size_t i = first; i < batches.size(); i += stride) {
      const auto part = model.evaluate(batches[i]);
      sums.loss += part.loss;
      sums.targets += part.targets;
      sums.correct += part.correct;
      sums.correct_top5 += part.correct_top5;
      for (const auto& [name, sum] : part.metrics) sums.metrics[name] += sum;
    }
    const double targets = static_cast<double>(sums.targets);
    result.shard_loss.push_back(sums.loss / targets);
    result.loss += shard_weights[shard] * result.shard_loss.back();
    result.accuracy += shard_weights[shard] * static_cast<double>(sums.correct) / targets;
    result.top5 += shard_weights[shard] * static_cast<double>(sums.correct_top5) / targets;
    for (const auto& [name, sum] : sums.metrics) {
      result.metrics[name] += shard_weights[shard] * sum / targets;
    }
    weight_sum += shard_weights[shard];
  }
  result.loss /= weight_sum;
  result.accuracy /= weight_sum;
  for (auto& [name, value] : result.metrics) value /= weight_sum;
  result.perplexity = std::exp(result.loss);
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  result.top5 = counts_top5(data.shape()) ? result.top5 / weight_sum : none;
  if (data.shape().tensors > 0) {  // only the model knows what would be right
    const auto found = result.metrics.find("accuracy");
    result.accuracy = found == result.metrics.end() ? none : found->second;
  }
  const double bytes = data.bytes_per_token();
  result.bits_per_byte = bytes > 0.0 ? result.loss / std::numbers::ln2 / bytes : none;
}

evaluator_actor::behavior_type evaluator(actor_pointer<evaluator_actor, evaluator_state> self,
                                         run_context_ptr run, server_actor server) {
  state_of(self).run = std::move(run);
  state_of(self).server = std::move(server);
  return {
      [self](const evaluate_version& request) {
        guarded(self, "evaluator", [&] {
          auto& state = state_of(self);
          if (!state.model) state.model = state.run->make_learner();
          const auto parameters = request.parameters->span();
          std::copy(parameters.begin(), parameters.end(),
                    state.model->parameters_to_overwrite().begin());
          auto result = std::make_shared<evaluation>(*request.context);
          evaluate_held_out(*state.model, *state.run->data, state.run->shard_weights,
                            state.run->settings.evaluate.half, *result);
          send(self, state.server, version_evaluated{std::move(result)});
        });
      },
  };
}

}  // namespace rubato
