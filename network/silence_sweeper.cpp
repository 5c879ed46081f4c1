#include "network/silence_sweeper.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

namespace rubato {
namespace {

using std::chrono::milliseconds;

/// The port at this end of a connection; nothing for whatever else the descriptor stands for.
std::optional<std::uint16_t> own_port(int descriptor) {
  sockaddr_storage here{};
  sockaddr_storage there{};
  socklen_t size = sizeof(here);
  socklen_t size_there = sizeof(there);
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&here), &size) != 0) return {};
  if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&there), &size_there) != 0) return {};
  if (here.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(here).sin_port);
  if (here.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6&>(here).sin6_port);
  return {};
}

milliseconds silence_of(int connection) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return milliseconds(-1);
  return milliseconds(info.tcpi_last_data_recv);
}

}  // namespace

std::size_t shut_down_silent(std::uint16_t port, milliseconds silence) {
  std::size_t count = 0;
  std::error_code none;  // a descriptor may be gone by now
  using iterator = std::filesystem::directory_iterator;
  for (iterator it("/proc/self/fd", none); it != iterator(); it.increment(none)) {
    const auto name = it->path().filename().string();
    int descriptor = -1;
    std::from_chars(name.data(), name.data() + name.size(), descriptor);
    if (own_port(descriptor) != port || silence_of(descriptor) < silence) continue;
    if (::shutdown(descriptor, SHUT_RDWR) == 0) count += 1;
  }
  return count;
}

silence_sweeper::~silence_sweeper() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

void silence_sweeper::watch(std::uint16_t port) {
  thread_ = std::thread([this, port] {
    while (!over_) {
      shut_down_silent(port, patience_);
      std::this_thread::sleep_for(milliseconds(100));
    }
  });
}

}  // namespace rubato
