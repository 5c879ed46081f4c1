// What the processes of a run begin with, be they the whole run, its server or one of its nodes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "actors/context.hpp"
#include "actors/run.hpp"
#include "data/data_use.hpp"
#include "messages/caf.hpp"
#include "network/handshake.hpp"

namespace rubato {

/// The thread budget: lanes for the workers' steps; for actors that only pass messages on, CAF's
/// scheduler, with so many; and one thread for each actor that is detached because it computes or
/// waits. With links, messages are also taken apart on them; without, a second one would be woken
/// for every few messages, and find little to do.
constexpr std::size_t scheduler_threads(bool links) {
  return links ? 2 : 1;
}

/// Threads that are started while it is there, and those that they start, wait for their turn when
/// they are woken (Linux's SCHED_BATCH). Otherwise each would at once push a lane off its core, for
/// the few microseconds that a message takes, which costs short rounds a fifth of their speed. Not
/// for processes with links: what travels is not to wait for what computes.
class patient_threads {
 public:
  patient_threads();
  ~patient_threads();
  patient_threads(const patient_threads&) = delete;
  patient_threads& operator=(const patient_threads&) = delete;

 private:
  bool changed_ = false;
};

/// Rounds that this machine computes at once, as its settings say.
std::int64_t lane_count(const config& c);

/// Loads the data for that use and builds the model; with `initial_version` also that. Takes long.
std::shared_ptr<run_context> make_context(const config& c, const run_parts& parts,
                                          bool initial_version, data_use use = data_use::all);

/// What other nodes of the run must have as well; `version` is the program's.
run_manifest manifest_of(const run_context& run, const std::string& version);

/// The certificates that a config names.
network_identity identity_of(const config::network_section& network);

/// The first reason why an actor is gone, told from whatever thread.
class ending {
 public:
  void set(const caf::error& reason) {
    const std::lock_guard lock(mutex_);
    if (!reason_) reason_ = reason;
    changed_.notify_all();
  }
  bool wait_for(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [this] { return reason_.has_value(); });
  }
  caf::error reason() const { return *reason_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<caf::error> reason_;
};

}  // namespace rubato
