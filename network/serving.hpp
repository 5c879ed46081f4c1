// Whether a config can be for nodes on other machines, and an address for anybody to reach.
#pragma once

#include "config/config.hpp"
#include "network/address.hpp"

namespace rubato {

/// Where `rubato serve` listens. Throws usage_error, naming the key, if the run is not one that
/// goes over a network, or if everybody could reach an address without TLS; `insecure` allows the
/// latter.
network_address check_serving(const config& c, bool insecure);

/// Throws usage_error if a node would send to another machine without TLS; `insecure` allows it; or
/// if the keys of section network contradict each other.
void check_joining(const network_address& server, const config& own, bool insecure);

}  // namespace rubato
