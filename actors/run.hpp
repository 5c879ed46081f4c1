// Runs a whole training: loads data, builds the model, starts the actors, waits for the end; with
// its workers in this process or elsewhere. The one entry point that the command line and the tests
// use.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "data/dataset.hpp"
#include "model/learner.hpp"
#include "monitoring/observer.hpp"
#include "monitoring/probes.hpp"
#include "network/address.hpp"

namespace rubato {

/// A run of which the workers are on other machines.
struct serving {
  network_address listen;
  std::string version;  // of the program
};

/// What a run is made of besides its config. Empty members are filled in from the config.
struct run_parts {
  std::shared_ptr<const dataset> data;
  learner_factory make_learner;
  /// Writes version 0 into a fresh learner; by default as run.init or run.seed say.
  std::function<void(learner&)> initialize;
  std::shared_ptr<run_observer> observer;
  /// Told what happens in detail, if given; by another thread than `observer`.
  std::shared_ptr<run_probe> probe;
  /// Told of links to other processes, if given.
  std::shared_ptr<link_probe> links;
  /// Counts what is computed here, if given.
  std::shared_ptr<lane_activity> activity;
  /// Set it to end the run cleanly (SIGINT); checked ten times a second.
  std::atomic<bool>* stop = nullptr;
  /// If given, nobody computes here; nodes join and leave, and without any the run waits.
  std::optional<serving> serve;
};

/// Blocks until the run has ended. With run.resume = "auto" it goes on with one that run.directory
/// holds, unless that has finished; then, as without, the folder is refused. Throws usage_error
/// before anything is started if config or input is at fault, run_error with the reason if the run
/// failed.
run_summary run_training(const config& c, run_parts parts = {});

}  // namespace rubato
