// When a sender or receiver gets impatient. Nothing waits for ever: every state but idle ends after
// give_up without progress.
#pragma once

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace rubato {

/// The time of whoever drives a sender or receiver; never goes backwards.
using transfer_time = std::chrono::nanoseconds;

struct transfer_timing {
  /// Without a sign of the other end for so long, ask; then after twice the time, and so on up to
  /// an eighth of `give_up`.
  transfer_time stall = std::chrono::seconds(5);
  /// Without progress for so long, the transfer has failed, whether the link was up or not. At
  /// least 8 times `stall`; a link must carry a window of chunks in less.
  transfer_time give_up = std::chrono::seconds(120);
};

/// Waits that get longer: when to ask next, within the time until giving up.
class patience {
 public:
  /// Throws std::invalid_argument on times that are not as said above.
  explicit patience(const transfer_timing& timing) : timing_(timing) {
    if (timing.stall <= transfer_time{0} || timing.give_up / 8 < timing.stall) {
      throw std::invalid_argument(
          "transfer_timing: stall must be positive, and give_up at least 8 times that");
    }
  }

  /// Something new has happened, and so there is a sign of life as well.
  void progress(transfer_time now) {
    last_progress_ = now;
    sign_of_life(now);
  }
  /// The other end is there: the next question can wait.
  void sign_of_life(transfer_time now) {
    wait_ = usual_wait_;
    ask_at_ = now + wait_;
  }
  /// A question was asked: the next one can wait longer.
  void asked(transfer_time now) {
    wait_ = std::max(usual_wait_, std::min(2 * wait_, timing_.give_up / 8));
    ask_at_ = now + wait_;
  }
  /// On this link signs of life are so far apart without anything being wrong; from the next one
  /// on, a question waits for twice that, from `stall` to a quarter of `give_up`.
  void expect_gaps(transfer_time gap) {
    usual_wait_ = std::clamp(2 * gap, timing_.stall, timing_.give_up / 4);
  }

  bool exhausted(transfer_time now) const { return now >= last_progress_ + timing_.give_up; }
  bool should_ask(transfer_time now) const { return now >= ask_at_; }
  /// When one of the two will be true.
  transfer_time deadline() const { return std::min(ask_at_, last_progress_ + timing_.give_up); }

 private:
  transfer_timing timing_;
  transfer_time usual_wait_ = timing_.stall;
  transfer_time last_progress_{0};
  transfer_time wait_{0};
  transfer_time ask_at_{0};
};

}  // namespace rubato
