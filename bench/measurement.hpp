// What every benchmark needs: two sides measured in turn, medians with their spread, the machine's
// name, and a folder to work in. Not here: what is measured.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rubato {

/// Of an even number the mean of the two in the middle; `values` must not be empty.
double median(std::vector<double> values);

/// Median, and median absolute deviation from it.
struct spread {
  explicit spread(std::vector<double> of);

  std::vector<double> values;
  double middle;
  double deviation;
};

/// Seconds that two sides took; those with the same index are a pair, made right after each other.
struct paired_times {
  std::vector<double> own;
  std::vector<double> reference;

  /// Own time over the other: the ratio of the two medians, ...
  double ratio_of_medians() const;
  /// ... and the median of the pairs' ratios, which a drift of the machine touches less.
  double median_of_ratios() const;
};

/// Measures both sides `repeats` times, in the order A B B A ...: whoever comes second in a pair
/// comes first in the next. Each returns its seconds. `told` receives a line for a person after
/// each pair.
paired_times measure_in_turn(std::int64_t repeats, const std::function<double()>& own,
                             const std::function<double()>& reference,
                             const std::function<void(std::string_view)>& told);

/// Seconds of real time that it takes.
double seconds_of(const std::function<void()>& action);

/// The CPU model's name, or "unknown".
std::string cpu_model();

/// A folder of its own that goes away with it.
class scratch_folder {
 public:
  /// In `parent`, or where temporary files go if that is empty. Throws run_error.
  explicit scratch_folder(const std::string& parent = {});
  ~scratch_folder();
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace rubato
