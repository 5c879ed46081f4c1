// summary.json, lines of metrics.jsonl, and the closing summary a person reads. The files get every
// digit; the text gets as many as are worth reading. Writing the files is storage's.
#pragma once

#include <string>

#include "monitoring/observer.hpp"

namespace rubato {

/// Indented JSON with the keys of docs/run-directory.md, in a fixed order, ending in a newline.
/// Numbers that do not exist (NaN, infinity, an absent evaluation) are null.
std::string to_json(const run_summary& s);

/// Lines for a terminal, ending in a newline; at most 80 columns but for long names.
std::string to_text(const run_summary& s);

/// A line of metrics.jsonl, without the newline. NaN and infinity become null.
std::string to_json_line(const evaluation& e);

/// The same about a change of a worker; told from an evaluation by its "event" key.
std::string to_json_line(const worker_change_record& change);

}  // namespace rubato
