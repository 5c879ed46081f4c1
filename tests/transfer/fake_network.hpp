// One sender, one receiver and a bad link between them, on virtual time: messages are lost,
// doubled, overtaken, damaged and held up, and the link is cut and comes back. All of it follows
// from a seed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "config/random.hpp"
#include "transfer/receiver.hpp"
#include "transfer/sender.hpp"

namespace rubato {

struct weather {
  double loss = 0.0;  // shares of the messages
  double duplicates = 0.0;
  double damage = 0.0;
  double hold_ups = 0.0;
  transfer_time least_delay = std::chrono::milliseconds(1);
  transfer_time most_delay = std::chrono::milliseconds(1);  // more than the least: overtaking
  transfer_time hold_up = std::chrono::seconds(10);         // at most
  double cuts_per_second = 0.0;
  transfer_time outage = std::chrono::seconds(3);  // at most
};

/// Turns one bit of one of the message's integers or of its payload.
template <class M>
void damage(M& message, random_generator& random) {
  if constexpr (requires { message.payload; }) {
    if (!message.payload.empty() && random.below(2) == 0) {
      message.payload[random.below(message.payload.size())] ^=
          static_cast<char>(1 << random.below(8));
      return;
    }
  }
  auto numbers = std::tuple_cat(M::fields(message), std::tie(message.checksum));
  const std::uint64_t chosen = random.below(std::tuple_size_v<decltype(numbers)>);
  std::uint64_t place = 0;
  std::apply(
      [&](auto&... number) {
        const auto turn = [&](auto& n) {
          using type = std::remove_reference_t<decltype(n)>;
          if (place++ == chosen) n = static_cast<type>(n ^ type{1} << random.below(8 * sizeof(n)));
        };
        (turn(number), ...);
      },
      numbers);
}

class fake_network {
 public:
  fake_network(transfer_sender& sender, transfer_receiver& receiver, const weather& w,
               std::uint64_t seed)
      : sender_(sender), receiver_(receiver), weather_(w), random_(seed, random_stream::test) {
    plan_cut();
  }

  /// Takes what is no message.
  std::function<void(const std::variant<content_arrived, transfer_lost, transfer_finished>&)>
      on_event = [](const auto&) {};

  transfer_time now() const { return now_; }
  random_generator& random() { return random_; }

  /// Does it after a while.
  void after(transfer_time wait, std::function<void()> what) {
    queue_.emplace(std::pair{now_ + wait, ++events_}, std::move(what));
  }

  /// Carries out what one of the two wants: a sender_action or receiver_action each.
  template <class Action>
  void take(const std::vector<Action>& actions) {
    for (const auto& action : actions) {
      std::visit(
          [this](const auto& content) {
            if constexpr (transfer_message<std::decay_t<decltype(content)>>) {
              send(content);
            } else {
              on_event(content);
            }
          },
          action);
    }
  }

  /// The next thing that happens; false if nothing ever will.
  bool step() {
    std::optional<transfer_time> next;
    const auto consider = [&](std::optional<transfer_time> t) {
      if (t && (!next || *t < *next)) next = t;
    };
    if (!queue_.empty()) consider(queue_.begin()->first.first);
    consider(sender_.deadline());
    consider(receiver_.deadline());
    if (!next) return false;
    now_ = std::max(now_, *next);
    if (!queue_.empty() && queue_.begin()->first.first <= now_) {
      const auto what = std::move(queue_.begin()->second);
      queue_.erase(queue_.begin());
      what();
    } else if (sender_.deadline() && *sender_.deadline() <= now_) {
      take(sender_.tick(now_));
    } else {
      take(receiver_.tick(now_));
    }
    return true;
  }

  /// Chunks on their way, now and at most.
  std::uint64_t chunks() const { return chunks_; }
  std::uint64_t most_chunks() const { return most_chunks_; }
  std::uint64_t messages() const { return messages_; }

 private:
  bool happens(double share) { return share > 0.0 && random_.uniform() < share; }

  transfer_time up_to(transfer_time most) {
    return transfer_time(random_.below(static_cast<std::uint64_t>(most.count()) + 1));
  }

  template <class M>
  void send(const M& message) {
    ++messages_;
    if (down_ || happens(weather_.loss)) return;
    const int copies = happens(weather_.duplicates) ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
      M travelling = message;
      if (happens(weather_.damage)) damage(travelling, random_);
      transfer_time wait = weather_.least_delay + up_to(weather_.most_delay - weather_.least_delay);
      if (happens(weather_.hold_ups)) wait += up_to(weather_.hold_up);
      constexpr bool is_chunk = std::is_same_v<M, transfer_chunk>;
      if (is_chunk) most_chunks_ = std::max(most_chunks_, ++chunks_);
      after(wait, [this, travelling = std::move(travelling), link = link_] {
        if (is_chunk) --chunks_;
        if (link == link_) arrive(travelling);  // with the link goes all that is on it
      });
    }
  }

  template <class M>
  void arrive(const M& message) {
    if constexpr (requires { sender_.receive(now_, message); }) {
      take(sender_.receive(now_, message));
    } else {
      take(receiver_.receive(now_, message));
    }
  }

  void plan_cut() {
    if (weather_.cuts_per_second <= 0.0) return;
    const auto mean = static_cast<std::uint64_t>(1e9 / weather_.cuts_per_second);
    after(transfer_time(random_.below(2 * mean)), [this] {
      ++link_;
      down_ = true;
      after(up_to(weather_.outage), [this] {
        down_ = false;
        take(sender_.reconnected(now_));
        plan_cut();
      });
    });
  }

  transfer_sender& sender_;
  transfer_receiver& receiver_;
  weather weather_;
  random_generator random_;
  std::map<std::pair<transfer_time, std::uint64_t>, std::function<void()>> queue_;
  transfer_time now_{0};
  std::uint64_t events_ = 0;
  std::uint64_t link_ = 0;  // counts connections
  bool down_ = false;
  std::uint64_t chunks_ = 0;
  std::uint64_t most_chunks_ = 0;
  std::uint64_t messages_ = 0;
};

}  // namespace rubato
