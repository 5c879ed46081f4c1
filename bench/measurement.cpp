#include "bench/measurement.hpp"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "config/error.hpp"

namespace rubato {

namespace fs = std::filesystem;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

spread::spread(std::vector<double> of) : values(std::move(of)), middle(median(values)) {
  std::vector<double> distances;
  for (const auto value : values) distances.push_back(std::abs(value - middle));
  deviation = median(std::move(distances));
}

double paired_times::ratio_of_medians() const {
  return median(own) / median(reference);
}

double paired_times::median_of_ratios() const {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < own.size(); ++i) ratios.push_back(own[i] / reference[i]);
  return median(std::move(ratios));
}

paired_times measure_in_turn(std::int64_t repeats, const std::function<double()>& own,
                             const std::function<double()>& reference,
                             const std::function<void(std::string_view)>& told) {
  paired_times times;
  for (std::int64_t i = 0; i < repeats; ++i) {
    if (i % 2 == 0) times.reference.push_back(reference());
    times.own.push_back(own());
    if (i % 2 == 1) times.reference.push_back(reference());
    told(fmt::format("{} of {}: {:.3g} s and {:.3g} s", i + 1, repeats, times.own.back(),
                     times.reference.back()));
  }
  return times;
}

double seconds_of(const std::function<void()>& action) {
  const auto begin = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

scratch_folder::scratch_folder(const std::string& parent)
    : path_(
          ((parent.empty() ? fs::temp_directory_path() : fs::path(parent)) / "rubato-bench-XXXXXX")
              .string()) {
  if (mkdtemp(path_.data()) == nullptr) {
    throw run_error(path_ + ": cannot create a folder for the benchmark");
  }
}

scratch_folder::~scratch_folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace rubato
