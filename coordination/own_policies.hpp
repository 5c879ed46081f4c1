// Rules that a program brings along: what an update counts, and how many steps a round has. Both
// are formulas without memory, so that nothing of them has to be saved and results depend on the
// config alone. Who keeps paces, limits and scales around them: quota.hpp, staleness.hpp.
#pragma once

#include <cstdint>
#include <functional>

#include "config/config.hpp"
#include "config/registration.hpp"

namespace rubato {

/// What a worker's next quota may go by. Paces are given or measured, as with dylu.
struct quota_question {
  std::int64_t local_steps = 0;           // H: quota.local_steps, or that of the stage
  double seconds_per_step = 0.0;          // of the worker; 0: not known yet
  double fastest_seconds_per_step = 0.0;  // of all workers whose pace is known; 0: there are none
};

/// Local steps of the round, 1 to 1,000,000. A pure function; anything else ends the run.
using quota_rule = std::function<std::int64_t(const quota_question&)>;

/// The weight, at least 0, of an update of that staleness (staleness.unit), before staleness.scale
/// and outer.weighting. A pure function; what is no number ends the run.
using staleness_rule = std::function<double(double staleness)>;

/// Make one for a run's config; throw usage_error if it does not suit them.
using quota_rule_maker = std::function<quota_rule(const config&)>;
using staleness_rule_maker = std::function<staleness_rule(const config&)>;

/// Make a rule one of `quota.policy` or `staleness.weight`; see add_choice() for what is thrown,
/// and when.
void register_quota_rule(const own_choice& choice, quota_rule_maker make);
void register_staleness_rule(const own_choice& choice, staleness_rule_maker make);

/// The registered rule that the config names; empty if it names one of Rubato's own.
quota_rule make_quota_rule(const config& c);
staleness_rule make_staleness_rule(const config& c);

}  // namespace rubato
