// A worker's local steps in a loop without actors, for measurements. Not here: what is compared
// with it (step.hpp, step_rate.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/stopwatch.hpp"
#include "config/config.hpp"
#include "coordination/types.hpp"
#include "data/dataset.hpp"
#include "model/learner.hpp"

namespace rubato {

/// One worker that trains as `c` says about model, data, device and inner optimizer, alone and
/// undisturbed, in rounds of quota.local_steps; the server takes its results as they are (SGD,
/// learning rate 1).
config one_worker(const config& c);

/// Rounds of one_worker(), as a run of it has them. Several threads may run loops at once.
class bare_loop {
 public:
  /// `c` is a one_worker(). `initialize` writes the parameters that a loop starts from.
  bare_loop(config c, std::shared_ptr<const dataset> data, learner_factory make_learner,
            std::function<void(learner&)> initialize);

  const parameter_layout& layout() const { return layout_; }
  std::int64_t tokens_per_step() const { return data_->tokens_per_batch(); }
  std::int64_t round_steps() const { return config_.quota.local_steps; }
  /// At least so many steps, as whole rounds.
  std::int64_t whole_rounds(double steps) const;
  /// Whole rounds that take so long.
  std::int64_t steps_that_take(double seconds) const;
  /// Steps that are taken before `steps` that are measured.
  std::int64_t warm_up(std::int64_t steps) const;
  /// The config of a run that takes the warm-up and these.
  config with_budget(std::int64_t steps) const;

  struct outcome {
    step_cost cost;
    std::string params_sha256;
  };

  /// `steps` steps after a warm-up, on that lane's device. `ready`, if given, is called in between.
  outcome run(std::int64_t steps, std::size_t lane = 0,
              const std::function<void()>& ready = {}) const;

 private:
  std::vector<assignment> plan_rounds(const config& c) const;

  config config_;
  std::shared_ptr<const dataset> data_;
  learner_factory make_learner_;
  std::function<void(learner&)> initialize_;
  parameter_layout layout_;
};

}  // namespace rubato
