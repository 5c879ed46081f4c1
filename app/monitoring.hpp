// Where a process of the program can be watched, as monitor.listen says.
#pragma once

#include <cstdio>
#include <memory>

#include "config/config.hpp"
#include "monitoring/monitor.hpp"

namespace rubato {

/// What process it is: a whole run, the server of one, or a node of one.
enum class monitored { run, server, node };

/// Listens as `c` says, and writes to `out` where; null if nobody wants that, or nobody asked for
/// it and it is a node's or not to be had. Throws usage_error for an address that is none, or that
/// others could reach without `insecure`; run_error if an address that was asked for is not to be
/// had.
std::shared_ptr<monitor> start_monitor(const config& c, monitored what,
                                       std::shared_ptr<lane_activity> lanes, bool insecure,
                                       std::FILE* out);

}  // namespace rubato
