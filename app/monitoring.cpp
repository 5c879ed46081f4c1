#include "app/monitoring.hpp"

#include <fmt/format.h>

#include <utility>

#include "config/error.hpp"
#include "config/load.hpp"
#include "network/address.hpp"

namespace rubato {
namespace {

constexpr const char* by_itself = "auto";
const network_address usual{"127.0.0.1", 9464};

process_facts facts_of(const config& c, monitored what, std::shared_ptr<lane_activity> lanes) {
  process_facts facts;
  if (what != monitored::node) facts.run = c.run.name;
  facts.version = RUBATO_VERSION;
  facts.codec_up = c.network.codec_up;
  facts.codec_down = c.network.codec_down;
  facts.checkpoints = c.checkpoint.every_versions > 0;
  facts.journal = c.journal.enabled;
  facts.staleness_limit = c.staleness.limit;
  facts.links = what != monitored::run;
  facts.node = what == monitored::node;
  facts.lanes = std::move(lanes);
  return facts;
}

network_address address_of(const config& c, bool insecure) {
  if (c.monitor.listen == by_itself) return usual;
  auto address = parse_address(c.monitor.listen, "monitor.listen", true);
  if (!insecure && !is_loopback(address)) {
    throw usage_error(fmt::format(
        "monitor.listen = \"{}\": anybody who reaches it sees the run; use 127.0.0.1 (and a tunnel "
        "from elsewhere), or --insecure-network on a network that you trust",
        c.monitor.listen));
  }
  return address;
}

}  // namespace

std::shared_ptr<monitor> start_monitor(const config& c, monitored what,
                                       std::shared_ptr<lane_activity> lanes, bool insecure,
                                       std::FILE* out) {
  if (c.monitor.listen.empty()) return nullptr;
  // A node would take the usual port away from a server on the same machine.
  if (what == monitored::node && c.monitor.listen == by_itself) return nullptr;
  const auto address = address_of(c, insecure);
  const auto started = std::make_shared<monitor>(facts_of(c, what, std::move(lanes)), to_toml(c));
  try {
    const auto port = started->listen(address.host, address.port);
    fmt::print(out, "{}: http://{}/\n", what == monitored::node ? "metrics at" : "watch it at",
               to_string(network_address{address.host, port}));
    std::fflush(out);
    return started;
  } catch (const run_error& e) {
    if (c.monitor.listen != by_itself) {
      throw run_error(fmt::format("monitor.listen = \"{}\": {}", c.monitor.listen, e.what()));
    }
    fmt::print(stderr,
               "note: not to be watched in a browser, for {}; monitor.listen = \"127.0.0.1:0\" "
               "takes any free port\n",
               e.what());
    return nullptr;
  }
}

}  // namespace rubato
