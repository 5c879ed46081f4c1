#include "bench/journal.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "config/error.hpp"
#include "monitoring/human.hpp"
#include "storage/journal_writer.hpp"

extern char** environ;

namespace rubato {
namespace {

namespace fs = std::filesystem;

/// Writes it and returns its size without the segments' headers.
std::uint64_t write_journal(const std::string& folder, const journal_bench_options& options) {
  const std::vector<std::byte> update(options.update_bytes);
  settle_record record;
  record.update = update;
  journal_writer writer(posix_file_system(), folder, new_run_identity());
  for (std::int64_t group = 0; group < options.groups; ++group) {
    for (std::int64_t i = 0; i < options.group_updates; ++i) writer.append(record);
    writer.commit();
  }
  std::uint64_t size = 0;
  for (const auto& file : fs::directory_iterator(folder))
    size += file.file_size() - file_header::size;
  return size;
}

void run_dd(const std::string& path, std::uint64_t block_bytes, std::int64_t blocks) {
  std::vector<std::string> words{"dd",
                                 "if=/dev/zero",
                                 "of=" + path,
                                 fmt::format("bs={}", block_bytes),
                                 fmt::format("count={}", blocks),
                                 "oflag=dsync",
                                 "status=none"};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  if (posix_spawnp(&child, "dd", nullptr, nullptr, argv.data(), environ) != 0) {
    throw run_error("bench journal: dd, which the journal is compared with, cannot be started");
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) throw run_error("bench journal: dd could not write " + path);
}

double megabytes_per_second(const journal_bench_report& report, double seconds) {
  return 1e-6 * static_cast<double>(report.block_bytes) * static_cast<double>(report.groups) /
         seconds;
}

}  // namespace

journal_bench_report measure_journal(const journal_bench_options& options,
                                     const std::function<void(std::string_view)>& told) {
  const scratch_folder scratch(options.directory);
  const auto folder = scratch.path() + "/journal";
  const auto file = scratch.path() + "/dd";
  journal_bench_report report;
  report.groups = options.groups;
  const auto groups = static_cast<std::uint64_t>(options.groups);
  report.block_bytes = write_journal(folder, options) / groups;  // also the warm-up
  fs::remove_all(folder);
  report.times = measure_in_turn(
      options.repeats,
      [&] {
        const auto seconds = seconds_of([&] { write_journal(folder, options); });
        fs::remove_all(folder);
        return seconds;
      },
      [&] {
        const auto seconds = seconds_of([&] { run_dd(file, report.block_bytes, options.groups); });
        fs::remove(file);
        return seconds;
      },
      told);
  return report;
}

std::string to_text(const journal_bench_report& report) {
  std::string text = "How fast the journal writes\n\n";
  text += fmt::format("  measured   {} times each, in turn: {} blocks of {}, a sync after each\n\n",
                      report.times.own.size(), report.groups, human_bytes(report.block_bytes));
  const auto row = [&](std::string_view name, const std::vector<double>& seconds) {
    const spread s(seconds);
    text += fmt::format("  {:<9}  {:>8.1f} MB/s   median {:.3f} s, MAD {:.3f} s\n", name,
                        megabytes_per_second(report, s.middle), s.middle, s.deviation);
  };
  row("journal", report.times.own);
  row("dd", report.times.reference);
  text += "  (MAD: median absolute deviation from the median)\n";
  text += fmt::format("\n  the journal: {:.3f} times as fast as dd (median of the pairs' ratios)\n",
                      report.speed());
  return text;
}

std::string to_json(const journal_bench_report& report) {
  const nlohmann::ordered_json value = {{"block_bytes", report.block_bytes},
                                        {"groups", report.groups},
                                        {"journal_seconds", report.times.own},
                                        {"dd_seconds", report.times.reference},
                                        {"speed", report.speed()}};
  return value.dump(2) + '\n';
}

}  // namespace rubato
