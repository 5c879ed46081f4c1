#include "network/address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "config/error.hpp"

namespace rubato {
namespace {

/// "127.0.0.1", but not "127.0.0.1.example.org".
bool is_ipv4_loopback(std::string_view host) {
  const auto of_number = [](char c) { return (c >= '0' && c <= '9') || c == '.'; };
  return host.starts_with("127.") && std::all_of(host.begin(), host.end(), of_number) &&
         std::count(host.begin(), host.end(), '.') == 3;
}

}  // namespace

network_address parse_address(const std::string& text, const std::string& where, bool any_port) {
  const auto refuse = [&] {
    throw usage_error(
        fmt::format("{} = \"{}\" must be HOST:PORT with a port from {} to 65535, such as "
                    "\"127.0.0.1:4711\" or \"[::1]:4711\"",
                    where, text, any_port ? 0 : 1));
  };
  const std::string_view all = text;
  const auto colon = all.rfind(':');
  if (colon == std::string_view::npos) refuse();
  auto host = all.substr(0, colon);
  const auto digits = all.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of("[]:") != std::string_view::npos) {
    refuse();
  }
  network_address address{std::string(host), 0};
  const auto* end = digits.data() + digits.size();
  const auto [parsed_to, error] = std::from_chars(digits.data(), end, address.port);
  if (host.empty() || error != std::errc() || parsed_to != end) refuse();
  if (address.port == 0 && !any_port) refuse();
  return address;
}

std::string to_string(const network_address& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", ipv6 ? "[" : "", address.host, ipv6 ? "]" : "", address.port);
}

bool is_loopback(const network_address& address) {
  return address.host == "localhost" || address.host == "::1" || is_ipv4_loopback(address.host);
}

}  // namespace rubato
