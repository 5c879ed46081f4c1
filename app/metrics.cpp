#include "monitoring/metrics.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "app/commands.hpp"
#include "config/error.hpp"

namespace rubato {

int show_metrics(bool markdown) {
  if (markdown) {
    std::fputs(describe_metrics_markdown().c_str(), stdout);
    return exit_done;
  }
  for (const auto& m : metric_catalogue()) {
    fmt::print("{} ({}{}{})\n    {}\n", m.name, to_string(m.kind), m.labels.empty() ? "" : "; ",
               m.labels, m.help);
  }
  return exit_done;
}

}  // namespace rubato
