// Beginning a run as a branch of another: with that one's past, and other settings from here on.
// Many moments to switch to local steps cost one data-parallel run that way, and their own ends.
#pragma once

#include <string>

#include "config/config.hpp"
#include "storage/file_system.hpp"
#include "storage/run_directory.hpp"
#include "storage/run_identity.hpp"

namespace rubato {

/// How far two configs lead to the same weights: to this many local steps, exclusively; the
/// greatest there is if only settings differ that weights do not depend on. What may differ else is
/// quota.stages and quota.local_steps, and as long as all rounds are data-parallel [outer] (but
/// groups) and inner.local_scale. Throws usage_error, naming key and both values, if something else
/// differs.
std::int64_t common_steps(const config& parent, const config& branch);

/// Puts into the folder of a new run what it goes on from (restore_run()): of the run in
/// c.run.branch the newest checkpoint that both have in common, and the lines until then. The
/// parent is only read.
/// Throws usage_error if it has no such checkpoint, or see common_steps(); file_error.
void begin_branch(file_system& files, const config& c, const run_directory& into,
                  const run_identity& run);

}  // namespace rubato
