// Run what a config says, with what the program has registered: all of the command line in one
// call, or a run, or a node of one, from a program that does other things as well. Not here:
// registering (network.hpp, dataset.hpp, outer_optimizer.hpp, policies.hpp).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "app/program.hpp"
#include "config/config.hpp"
#include "config/error.hpp"
#include "config/load.hpp"
#include "monitoring/observer.hpp"

namespace rubato {

struct run_options {
  /// Told how the run goes, if given.
  std::shared_ptr<run_observer> observer = nullptr;
  /// Set it to end the run cleanly, from any thread; checked ten times a second.
  std::atomic<bool>* stop = nullptr;
  /// Workers are in other processes, which join() or `rubato work` at network.listen.
  bool serve = false;
  /// These may be on other machines, though without TLS.
  bool insecure_network = false;
};

/// Trains as `c` says, and as `rubato train` or `rubato serve` would, but for the live page and the
/// report; blocks until the run has ended. Starts threads and an actor system of its own, and
/// leaves signals alone. Several runs may go on at once, in folders of their own. Throws
/// usage_error before anything is started if config or input is at fault, run_error with the reason
/// if the run failed.
run_summary run(const config& c, const run_options& options = {});

struct join_options {
  std::string server;           // HOST:PORT
  override_list settings = {};  // of this machine, such as {"run.threads", "2"}
  std::string name = {};        // for people; empty: the machine's
  std::int64_t workers = 0;     // to be; 0: as many as compute at once
  std::function<void(const std::string&)> say = [](const std::string&) {};  // from any thread
  std::atomic<bool>* stop = nullptr;                                        // as in run_options
  bool insecure_network = false;
};

/// Takes part in a run of another process, as `rubato work` does; blocks until that is over, or all
/// is handed in after `stop`. Both programs must have registered what the run's config names.
/// Throws usage_error or run_error.
void join(const join_options& options);

}  // namespace rubato
