// What an update counts: less the staler it is, nothing at all beyond a limit, and if so configured
// in proportion to its steps. Not here: correcting the update itself for its delay (optim/).
#pragma once

#include <cstdint>
#include <optional>

#include "config/config.hpp"
#include "coordination/own_policies.hpp"

namespace rubato {

class staleness_policy {
 public:
  explicit staleness_policy(const config& c);

  /// The weight of an update of `steps` local steps, empty if it is to be dropped:
  ///   constant: 1;  polynomial: (1 + s)^-exponent (Poly of Liu et al. 2024; FedBuff; FedAsync);
  ///   hinge: 1 up to b, then 1 / (a (s - b) + 1) (FedAsync);
  /// times staleness.scale (asynchronous runs only), times steps / H with
  /// outer.weighting = "tokens". A registered rule stands in the place of these three; throws
  /// run_error unless what it says is a weight.
  std::optional<double> weight(std::uint64_t staleness, std::uint32_t steps) const;

  /// H, of which a full round consists from now on.
  void set_local_steps(std::int64_t local_steps) { full_round_ = static_cast<double>(local_steps); }

 private:
  double decay(double staleness) const;

  config::staleness_section options_;
  staleness_rule rule_;  // empty for Rubato's own weights
  double scale_;
  bool by_tokens_;
  double full_round_;
};

}  // namespace rubato
