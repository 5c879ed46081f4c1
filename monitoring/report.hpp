// The report: one HTML file that shows a run or compares many, made from their run directories
// (docs/run-directory.md). Here are its data and the file; what it looks like is page/'s business.
// Not here: training, and comparing (a comparison's tables are only shown).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace rubato {

/// A run for the report, finished or not.
struct report_run {
  std::string directory;
  /// The method's name; runs of the same label are seeds of one method. Empty: the page groups the
  /// runs by their settings and names the groups itself.
  std::string label = {};
  /// Where the folder is, as seen from the page; empty: no link.
  std::string link = {};
};

/// What the page shows, in the form that page/page.js describes. Reads config.toml and, as far as
/// they are there, summary.json, metrics.jsonl and updates.jsonl; a line that is still being
/// written is left out. The size is bounded: every evaluation is kept, but of a run's rounds only
/// some thousand, and of its workers the first 32; what is drawn over time comes in 100 steps at
/// most. Fifty runs make less than 10 MB.
///
/// `comparison` is null: whoever has compared the runs puts in
/// {"tables": [{"title", "note", "columns": [text], "rows": [[text or number]]}]}.
///
/// Throws usage_error naming the folder that is not a run directory, or file and line of what
/// cannot be understood.
nlohmann::json report_data(const std::string& title, const std::string& version,
                           const std::vector<report_run>& runs);

/// The whole page as HTML, with the data in it: it loads nothing else. No string in the data can
/// break out of its place; bytes that are not UTF-8 become U+FFFD.
std::string report_page(const nlohmann::json& data);

}  // namespace rubato
