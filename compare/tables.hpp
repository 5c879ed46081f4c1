// The findings of a comparison as tables of text: for the terminal, and for whoever draws a page
// of them. Not here: files (output.hpp).
#pragma once

#include <string>
#include <vector>

#include "compare/findings.hpp"
#include "compare/grid.hpp"

namespace rubato {

struct table {
  std::string title;
  std::string note;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

/// The results and the comparison with each baseline, for each setting; what all of it takes of
/// communication; what smaller or larger budgets do; how hyper-parameters were chosen.
std::vector<table> tables_of(const grid& g, const findings& f);

/// What each run sets, and what is tuned.
table runs_of(const grid& g);

/// The sentences of a comparison, for where only tables are shown.
table as_table(const std::vector<std::string>& notes);

/// For a terminal, in aligned columns. A table that is too wide for 100 goes on below, with its
/// first column once more. A note that several tables have is shown below the first.
std::string to_text(const std::vector<table>& tables);
/// One sentence a paragraph, in lines of at most 80 columns but for long names.
std::string to_text(const std::vector<std::string>& notes);

}  // namespace rubato
