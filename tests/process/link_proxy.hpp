// A link between a node and the server that is as bad as a test wants it: a proxy for TCP on
// loopback, in a thread of its own. It knows nothing of what it carries; so it does the same to
// TLS.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "config/random.hpp"

namespace rubato {

/// A file descriptor with an owner.
class socket_handle {
 public:
  explicit socket_handle(int number = -1) : number_(number) {}
  socket_handle(socket_handle&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  socket_handle& operator=(socket_handle&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~socket_handle() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }

 private:
  int number_;
};

inline sockaddr_in loopback_at(std::uint16_t port) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return where;
}

/// A connection to that port of this machine. Throws std::runtime_error.
inline socket_handle connect_to(std::uint16_t port) {
  socket_handle made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto where = loopback_at(port);
  if (::connect(made.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) != 0) {
    throw std::runtime_error("nobody listens at port " + std::to_string(port));
  }
  return made;
}

/// The port of "127.0.0.1:PORT".
inline std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

/// What the link does to those who use it. "Up" is from the node to the server.
struct link_conditions {
  std::chrono::milliseconds delay{0};  // one way
  double bytes_per_second = 0.0;       // each way; 0: as fast as it goes
  // Of long pieces, which are nearly all payload, so many pass unharmed before one has a bit
  // flipped; 0: all do.
  std::uint64_t unharmed = 0;
  // Each connection is reset when about so many bytes, half to all of it, went up; 0: never.
  std::uint64_t cut_after = 0;
  // Bytes are taken, and never arrive: what is left of a connection whose other end has lost power.
  // A connection that this was done to stays so.
  bool swallow_up = false;
  bool swallow_down = false;
};

class link_proxy {
 public:
  /// To the server at that port. All that is left to chance is drawn from `seed`.
  link_proxy(std::uint16_t server, std::uint64_t seed, link_conditions conditions = {})
      : server_(server), random_(seed, random_stream::test), conditions_(conditions) {
    listener_ = socket_handle(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    auto where = loopback_at(0);
    socklen_t size = sizeof(where);
    auto* const address = reinterpret_cast<sockaddr*>(&where);
    if (::bind(listener_.get(), address, size) != 0 || ::listen(listener_.get(), 16) != 0 ||
        ::getsockname(listener_.get(), address, &size) != 0) {
      throw std::runtime_error("the proxy cannot listen");
    }
    port_ = ntohs(where.sin_port);
    thread_ = std::thread([this] { carry(); });
  }
  ~link_proxy() {
    over_ = true;
    thread_.join();
  }
  link_proxy(const link_proxy&) = delete;
  link_proxy& operator=(const link_proxy&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// From now on, for connections that there are, too.
  void become(const link_conditions& conditions) {
    const std::lock_guard lock(mutex_);
    conditions_ = conditions;
  }

  /// Connections that were reset, and bits that were flipped, so far.
  std::uint64_t cuts() const { return cuts_; }
  std::uint64_t flips() const { return flips_; }
  /// The first bytes that went up, of the first connection.
  std::string heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }

 private:
  using clock = std::chrono::steady_clock;

  struct piece {
    clock::time_point due;
    std::string bytes;
  };

  struct direction {
    int from;
    int to;
    bool up;
    std::deque<piece> pieces = {};
    std::size_t queued = 0;
    clock::time_point line_is_free = {};
    bool is_lost = false;
  };

  struct connection {
    socket_handle node;
    socket_handle server;
    std::array<direction, 2> directions;
    std::uint64_t went_up = 0;
    double cut_at = 1.0;  // share of cut_after
    bool first;
    bool over = false;
  };

  void carry() {
    while (!over_) {
      const auto now = clock::now();
      const auto conditions = current();
      std::vector<pollfd> watched{{listener_.get(), POLLIN, 0}};
      bool waits = false;
      for (const auto& c : connections_) {
        for (const auto& d : c.directions) {
          const bool room = d.queued < most_queued;
          const bool due = !d.pieces.empty() && d.pieces.front().due <= now;
          waits |= !d.pieces.empty();
          watched.push_back({d.from, static_cast<short>(room ? POLLIN : 0), 0});
          watched.push_back({d.to, static_cast<short>(due ? POLLOUT : 0), 0});
        }
      }
      ::poll(watched.data(), watched.size(), waits ? 1 : 10);
      accept_one();
      for (auto& c : connections_) pass(c, conditions);
      connections_.remove_if([](const connection& c) { return c.over; });
    }
  }

  link_conditions current() const {
    const std::lock_guard lock(mutex_);
    return conditions_;
  }

  void accept_one() {
    socket_handle node(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (node.get() < 0) return;
    try {
      auto server = connect_to(server_);
      ::fcntl(server.get(), F_SETFL, O_NONBLOCK);
      for (const int end : {node.get(), server.get()}) {
        const int on = 1;
        ::setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      }
      const direction up{node.get(), server.get(), true};
      const direction down{server.get(), node.get(), false};
      connections_.push_back({.node = std::move(node),
                              .server = std::move(server),
                              .directions = {up, down},
                              .cut_at = 0.5 + 0.5 * random_.uniform(),
                              .first = std::exchange(none_yet_, false)});
    } catch (const std::runtime_error&) {
      // The server is gone; so is the node's connection then.
    }
  }

  void pass(connection& c, const link_conditions& conditions) {
    for (auto& d : c.directions) {
      if (!c.over) take(c, d, conditions);
      if (!c.over) give(c, d);
    }
  }

  void take(connection& c, direction& d, const link_conditions& conditions) {
    while (d.queued < most_queued) {
      std::string bytes(16384, '\0');
      const auto size = ::recv(d.from, bytes.data(), bytes.size(), 0);
      if (size < 0) {
        c.over = errno != EAGAIN && errno != EINTR;
        return;
      }
      if (size == 0) {
        c.over = true;
        return;
      }
      bytes.resize(static_cast<std::size_t>(size));
      if (d.up && c.first) remember(bytes);
      // TCP never carries what comes after bytes that were lost.
      d.is_lost = d.is_lost || (d.up ? conditions.swallow_up : conditions.swallow_down);
      if (!d.is_lost) {
        harm(bytes, conditions);
        queue(d, std::move(bytes), conditions);
      }
      if (d.up) c.went_up += static_cast<std::uint64_t>(size);
      if (conditions.cut_after > 0 &&
          static_cast<double>(c.went_up) > c.cut_at * static_cast<double>(conditions.cut_after)) {
        return cut(c);
      }
    }
  }

  void harm(std::string& bytes, const link_conditions& conditions) {
    if (conditions.unharmed == 0 || bytes.size() <= 8192) return;
    if (++long_pieces_ <= conditions.unharmed) return;
    long_pieces_ = 0;
    flips_ += 1;
    const auto where = bytes.size() / 4 + random_.below(bytes.size() / 2);
    bytes[where] = static_cast<char>(bytes[where] ^ (1 << random_.below(8)));
  }

  /// In small pieces, each due when the line has carried it.
  static void queue(direction& d, std::string bytes, const link_conditions& conditions) {
    constexpr std::size_t small = 2048;
    auto& free = d.line_is_free;
    free = std::max(free, clock::now());
    for (std::size_t at = 0; at < bytes.size(); at += small) {
      auto part = bytes.substr(at, small);
      if (conditions.bytes_per_second > 0) {
        free += std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(
            static_cast<double>(part.size()) / conditions.bytes_per_second));
      }
      d.queued += part.size();
      d.pieces.push_back({free + conditions.delay, std::move(part)});
    }
  }

  static void give(connection& c, direction& d) {
    while (!d.pieces.empty() && d.pieces.front().due <= clock::now()) {
      auto& bytes = d.pieces.front().bytes;
      const auto size = ::send(d.to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size < 0) {
        c.over = errno != EAGAIN && errno != EINTR;
        return;
      }
      d.queued -= static_cast<std::size_t>(size);
      bytes.erase(0, static_cast<std::size_t>(size));
      if (!bytes.empty()) return;
      d.pieces.pop_front();
    }
  }

  /// Both ends see a reset, in the middle of whatever was on its way.
  void cut(connection& c) {
    cuts_ += 1;
    c.over = true;
    const linger at_once{1, 0};
    for (const int end : {c.node.get(), c.server.get()}) {
      ::setsockopt(end, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
  }

  void remember(const std::string& bytes) {
    const std::lock_guard lock(mutex_);
    if (heard_.size() < most_queued) heard_ += bytes;
  }

  static constexpr std::size_t most_queued = 256 << 10;

  std::uint16_t server_;
  random_generator random_;
  mutable std::mutex mutex_;
  link_conditions conditions_;  // under the mutex, as is heard_
  std::string heard_;
  socket_handle listener_;
  std::uint16_t port_ = 0;
  std::list<connection> connections_;
  std::uint64_t long_pieces_ = 0;
  bool none_yet_ = true;
  std::atomic<std::uint64_t> cuts_{0};
  std::atomic<std::uint64_t> flips_{0};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

}  // namespace rubato
