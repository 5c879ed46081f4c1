#include "bench/memory.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>

#include "bench/measurement.hpp"
#include "bench/train_process.hpp"
#include "config/error.hpp"
#include "monitoring/human.hpp"

namespace rubato {
namespace {

constexpr std::int64_t lanes = 2;
constexpr std::int64_t rounds = 3;

/// Bytes at most, and the model's parameters.
std::pair<double, std::int64_t> run_with(std::int64_t workers) {
  const scratch_folder folder;
  const auto text = [](std::int64_t value) { return std::to_string(value); };
  std::filesystem::create_directory(folder.path() + "/text");
  for (const char letter : {'a', 'b'}) {  // whole files are held out
    std::ofstream(fmt::format("{}/text/{}.txt", folder.path(), letter))
        << std::string(100'000, letter);
  }
  const auto run = train_in_process({"--run.threads",
                                     text(lanes),
                                     "--run.local_steps",
                                     text(workers * rounds),
                                     "--model.layers",
                                     "20",
                                     "--model.width",
                                     "256",
                                     "--model.heads",
                                     "4",
                                     "--model.sequence_length",
                                     "16",
                                     "--data.paths",
                                     fmt::format("['{}/text']", folder.path()),
                                     "--data.batch_size",
                                     "1",
                                     "--workers.count",
                                     text(workers),
                                     "--workers.heterogeneity",
                                     "none",
                                     "--evaluate.baselines",
                                     "false"});
  return {static_cast<double>(run.peak_memory), run.summary.at("parameters")};
}

}  // namespace

double memory_bench_report::of_a_worker() const {
  return (many - few) / static_cast<double>(options.workers - options.few);
}

double memory_bench_report::must_hold() const {
  return 3.0 * sizeof(float) * static_cast<double>(parameters);
}

memory_bench_report measure_memory(const memory_bench_options& options,
                                   const std::function<void(std::string_view)>& told) {
  if (options.few >= options.workers) {
    throw usage_error(
        fmt::format("--few {} must be less than --workers {}", options.few, options.workers));
  }
  memory_bench_report report;
  report.options = options;
  for (auto [workers, bytes] :
       {std::pair(options.few, &report.few), std::pair(options.workers, &report.many)}) {
    std::tie(*bytes, report.parameters) = run_with(workers);
    told(fmt::format("{} workers: {}", workers, human_bytes(static_cast<std::uint64_t>(*bytes))));
  }
  return report;
}

std::string to_text(const memory_bench_report& report) {
  const auto bytes = [](double value) { return human_bytes(static_cast<std::uint64_t>(value)); };
  return fmt::format(
      "What a worker more takes\n\n"
      "  {} parameters, AdamW, virtual clock; at most {} with {} workers, {} with {}\n\n"
      "  {} a worker, {:.2f} times what it must hold ({}: two moments, and a version or an "
      "update)\n",
      human_count(static_cast<double>(report.parameters)), bytes(report.many),
      report.options.workers, bytes(report.few), report.options.few, bytes(report.of_a_worker()),
      report.ratio(), bytes(report.must_hold()));
}

std::string to_json(const memory_bench_report& report) {
  const nlohmann::ordered_json value = {{"parameters", report.parameters},
                                        {"workers", report.options.workers},
                                        {"few", report.options.few},
                                        {"peak_bytes", report.many},
                                        {"peak_bytes_with_few", report.few},
                                        {"bytes_of_a_worker", report.of_a_worker()},
                                        {"must_hold_bytes", report.must_hold()},
                                        {"ratio", report.ratio()}};
  return value.dump(2) + '\n';
}

}  // namespace rubato
