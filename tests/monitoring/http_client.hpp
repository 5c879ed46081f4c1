// What a test asks a server on this machine for, byte by byte.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <string>

namespace rubato {

/// A connection to a port of this machine; reading gives up after ten seconds.
class http_connection {
 public:
  explicit http_connection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~http_connection() { ::close(socket_); }
  http_connection(const http_connection&) = delete;
  http_connection& operator=(const http_connection&) = delete;

  bool connected() const { return connected_; }

  /// False once the other end takes no more.
  bool send(const std::string& bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const auto n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<std::size_t>(n);
    }
    return true;
  }

  /// All that comes until the other end closes.
  std::string receive() {
    std::string text;
    char piece[4096];
    for (;;) {
      const auto n = ::recv(socket_, piece, sizeof piece, 0);
      if (n <= 0) return text;
      text.append(piece, static_cast<std::size_t>(n));
    }
  }

 private:
  int socket_;
  bool connected_;
};

struct http_reply {
  int status = 0;  // 0: no answer
  std::string head;
  std::string content;
};

inline http_reply ask(std::uint16_t port, const std::string& method, const std::string& path) {
  http_connection connection(port);
  connection.send(method + ' ' + path +
                  " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  const auto text = connection.receive();
  http_reply reply;
  const auto end = text.find("\r\n\r\n");
  if (end == std::string::npos || text.size() < 12) return reply;
  reply.status = std::stoi(text.substr(9, 3));
  reply.head = text.substr(0, end);
  reply.content = text.substr(end + 4);
  return reply;
}

inline http_reply get(std::uint16_t port, const std::string& path) {
  return ask(port, "GET", path);
}

}  // namespace rubato
