// The folder of a comparison: a folder for each cell, and the tables. One process at a time works
// in it. Not here: what is in the tables (output.hpp).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "compare/grid.hpp"
#include "compare/result.hpp"

namespace rubato {

/// Holds the folder's lock while it lives. The lock is also held by programs started meanwhile, so
/// that a comparison whose predecessor was killed waits until the last of its runs is gone.
class comparison_folder {
 public:
  /// Creates the folder (and parents). Throws usage_error if it cannot be created or written, if
  /// it holds a run, or if another comparison is at work in it.
  explicit comparison_folder(std::string path);
  ~comparison_folder();
  comparison_folder(const comparison_folder&) = delete;
  comparison_folder& operator=(const comparison_folder&) = delete;

  const std::string& path() const { return path_; }
  /// The cell's run directory; nothing may be there yet.
  std::string directory_of(const cell& c) const;
  std::string config_of(const cell& c) const;
  /// What the run printed.
  std::string log_of(const cell& c) const;

  /// What the cell's run, if it is finished, led to. Throws run_error if its files are damaged.
  std::optional<cell_result> result_of(const cell& c) const;
  /// Makes an empty folder for the cell, in place of what a run that was cut off may have left,
  /// with the cell's config in it. Throws run_error.
  void prepare(const cell& c) const;
  /// The last line that the run printed; empty if there is none.
  std::string last_words_of(const cell& c) const;

  /// Replaces a file of the comparison as a whole. Throws run_error.
  void write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
  int lock_ = -1;
};

}  // namespace rubato
