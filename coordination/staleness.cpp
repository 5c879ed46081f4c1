#include "coordination/staleness.hpp"

#include <fmt/format.h>

#include <cmath>

#include "config/error.hpp"

namespace rubato {

staleness_policy::staleness_policy(const config& c)
    : options_(c.staleness),
      rule_(make_staleness_rule(c)),
      scale_(c.outer.mode == "async" ? c.staleness.scale : 1.0),
      by_tokens_(c.outer.weighting == "tokens"),
      full_round_(static_cast<double>(c.quota.local_steps)) {}

std::optional<double> staleness_policy::weight(std::uint64_t staleness, std::uint32_t steps) const {
  if (options_.limit >= 0 && staleness > static_cast<std::uint64_t>(options_.limit)) {
    return std::nullopt;
  }
  const double weight = scale_ * decay(static_cast<double>(staleness));
  return by_tokens_ ? weight * steps / full_round_ : weight;
}

double staleness_policy::decay(double staleness) const {
  if (rule_) {
    const double weight = rule_(staleness);
    if (std::isfinite(weight) && weight >= 0.0) return weight;
    throw run_error(
        fmt::format("staleness.weight = \"{}\" gives a staleness of {} the weight {}; it must be a "
                    "number of at least 0",
                    options_.weight, staleness, weight));
  }
  if (options_.weight == "polynomial") {
    // The usual exponent without pow, whose last bit differs between machines.
    if (options_.exponent == 0.5) return 1.0 / std::sqrt(1.0 + staleness);
    return std::pow(1.0 + staleness, -options_.exponent);
  }
  if (options_.weight == "hinge" && staleness > options_.hinge_start) {
    return 1.0 / (options_.hinge_slope * (staleness - options_.hinge_start) + 1.0);
  }
  return 1.0;
}

}  // namespace rubato
