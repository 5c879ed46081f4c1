#include "network/serving.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "config/error.hpp"
#include "config/rules.hpp"
#include "config/stages.hpp"

namespace rubato {
namespace {

void check_encryption(const network_address& address, const config& c, const std::string& what,
                      bool insecure) {
  if (insecure || is_loopback(address) || !c.network.cert.empty()) return;
  throw usage_error(fmt::format(
      "{}: anybody on the way could read and change what goes to and fro, and take part; give "
      "network.cert, network.key and network.ca (`rubato certs` makes them), or --insecure-network "
      "on a network that you trust",
      what));
}

}  // namespace

network_address check_serving(const config& c, bool insecure) {
  if (c.clock.mode == "wall" && !c.workers.events.empty()) {
    throw usage_error(
        "workers.events: in real time, what happens to workers on other machines happens there; "
        "leave it empty, or use clock.mode = \"virtual\"");
  }
  if (c.inner.state == "average") {
    throw usage_error(
        "inner.state = \"average\": optimizer states stay on the machines of their workers; use "
        "\"keep\" or \"zero\"");
  }
  const auto stages = parse_stages(c);
  const bool data_parallel =
      std::any_of(stages.begin(), stages.end(), [](const stage& s) { return s.data_parallel(); });
  if (data_parallel && c.outer.handover == "maintain") {
    throw usage_error(
        "outer.handover = \"maintain\": optimizer states stay on the machines of their workers; "
        "use "
        "\"zero\"");
  }
  const auto address = parse_address(c.network.listen, "network.listen", true);
  check_encryption(address, c, fmt::format("network.listen = \"{}\" without TLS", c.network.listen),
                   insecure);
  return address;
}

void check_joining(const network_address& server, const config& own, bool insecure) {
  if (const auto found = find_network_contradiction(own)) throw usage_error(found->message);
  check_encryption(server, own, fmt::format("--server {} without TLS", to_string(server)),
                   insecure);
}

}  // namespace rubato
