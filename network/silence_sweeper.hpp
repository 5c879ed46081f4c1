// Ends connections that nothing comes from. CAF has no limit for those that never say a word: with
// TLS each keeps its network thread busy, waiting for a handshake, and lets no process end that has
// one. Whoever takes part says something every few seconds.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace rubato {

/// Shuts down all TCP connections of this process at `port` of its own on which nothing came for
/// `silence`. Returns how many. From any thread.
std::size_t shut_down_silent(std::uint16_t port, std::chrono::milliseconds silence);

/// Does so now and then, in a thread of its own, as long as it lives. To be made before the actor
/// system, whose end it may have to make possible.
class silence_sweeper {
 public:
  silence_sweeper() = default;
  ~silence_sweeper();
  silence_sweeper(const silence_sweeper&) = delete;
  silence_sweeper& operator=(const silence_sweeper&) = delete;

  /// Begins, for connections at this port. To be called once.
  void watch(std::uint16_t port);
  /// Everybody has been told goodbye: from now on no connection is borne.
  void end_all() { patience_ = std::chrono::milliseconds(0); }

  /// As CAF has it with those that are connected (messages/caf.hpp); they say something every 5 s.
  static constexpr auto usual_patience = std::chrono::milliseconds(30'000);

 private:
  std::atomic<std::chrono::milliseconds> patience_{usual_patience};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

}  // namespace rubato
