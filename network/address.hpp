// Where a server listens: "HOST:PORT". Only the text; nothing is looked up.
#pragma once

#include <cstdint>
#include <string>

namespace rubato {

struct network_address {
  std::string host;  // a name or an IP address; of IPv6 without its brackets
  std::uint16_t port = 0;

  bool operator==(const network_address& other) const = default;
};

/// "host:port" or "[ipv6]:port". Throws usage_error, which begins with `where`, unless it is one;
/// port 0 (any free one) only with `any_port`.
network_address parse_address(const std::string& text, const std::string& where, bool any_port);

std::string to_string(const network_address& address);

/// It is this machine's own, which nobody else can reach: localhost, 127.x.x.x or ::1. Any other
/// name counts as not, whatever it stands for.
bool is_loopback(const network_address& address);

}  // namespace rubato
