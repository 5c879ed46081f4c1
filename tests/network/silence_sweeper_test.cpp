#include "network/silence_sweeper.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

using namespace rubato;
using namespace std::chrono_literals;

namespace {

/// A server's socket on loopback, and connections to it.
struct loopback_server {
  loopback_server() {
    REQUIRE(::bind(listener, address(), size) == 0);
    REQUIRE(::listen(listener, 8) == 0);
    REQUIRE(::getsockname(listener, address(), &size) == 0);
  }
  ~loopback_server() {
    for (const int socket : sockets) ::close(socket);
    ::close(listener);
  }

  /// The client's end.
  int connect() {
    const int client = ::socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(::connect(client, address(), size) == 0);
    sockets.insert(sockets.end(), {client, ::accept(listener, nullptr, nullptr)});
    return client;
  }

  sockaddr* address() { return reinterpret_cast<sockaddr*>(&where); }
  std::uint16_t port() const { return ntohs(where.sin_port); }

  sockaddr_in where{AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t size = sizeof(where);
  int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  std::vector<int> sockets;
};

bool ends(int client, std::chrono::milliseconds patience) {
  pollfd watched{client, POLLIN, 0};
  char byte = 0;
  return ::poll(&watched, 1, static_cast<int>(patience.count())) == 1 &&
         ::recv(client, &byte, 1, 0) <= 0;
}

}  // namespace

TEST_CASE("of connections to a port, those that nothing came from for so long are ended") {
  loopback_server server;
  loopback_server other;
  const int silent = server.connect();
  const int elsewhere = other.connect();
  CHECK(shut_down_silent(server.port(), 1h) == 0);
  CHECK(shut_down_silent(server.port(), 0ms) == 1);
  CHECK(ends(silent, 1000ms));
  CHECK_FALSE(ends(elsewhere, 0ms));
  const int late = server.connect();
  CHECK_FALSE(ends(late, 0ms));
}

TEST_CASE("at the end a sweeper ends all connections, and waits for none") {
  loopback_server server;
  silence_sweeper never_used;
  silence_sweeper sweeper;
  sweeper.watch(server.port());
  const int silent = server.connect();
  CHECK_FALSE(ends(silent, 0ms));
  sweeper.end_all();
  CHECK(ends(silent, 10'000ms));
}
