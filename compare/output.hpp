// The files of a comparison: cells.csv, a row for each cell, and comparison.json, everything.
// The text of both depends on the results alone, so a comparison that was resumed gives the same,
// but for wall_seconds. Not here: writing them (folder.hpp).
#pragma once

#include <string>
#include <vector>

#include "compare/execution.hpp"
#include "compare/findings.hpp"
#include "compare/grid.hpp"
#include "compare/tables.hpp"

namespace rubato {

/// With a header; fields quoted as RFC 4180 has it. A number that does not exist is empty, a loss
/// that diverged "inf".
std::string to_csv(const grid& g, const grid_outcome& outcome);

/// Indented, ending in a newline; see docs/compare.md for the keys. Numbers that do not exist are
/// null.
std::string to_json(const grid& g, const grid_outcome& outcome, const findings& f,
                    const std::vector<table>& tables);

}  // namespace rubato
