// Prints how far a comparison is: a line for each cell that ends, and on a terminal one live line
// below, rewritten in place. Not here: the tables in the end (output.hpp).
#pragma once

#include <cstdio>
#include <string>

#include "compare/execution.hpp"
#include "compare/grid.hpp"

namespace rubato {

class progress_printer final : public grid_observer {
 public:
  /// `live`: out is a terminal that understands ANSI escapes. Grid and out must outlive this.
  progress_printer(const grid& g, std::FILE* out, bool live);
  /// Removes the live line.
  ~progress_printer() override;
  progress_printer(const progress_printer&) = delete;
  progress_printer& operator=(const progress_printer&) = delete;

  void started(const grid_progress& p) override;
  void settled(const settled_cell& c, const grid_progress& p) override;
  void waiting(const grid_progress& p) override;

 private:
  void print(const std::string& text);

  const grid& grid_;
  std::FILE* out_;
  bool live_;
  bool line_shown_ = false;
};

/// "12/48 cells  25%  2 running  ETA 3m 20s".
std::string progress_text(const grid_progress& p);

}  // namespace rubato
