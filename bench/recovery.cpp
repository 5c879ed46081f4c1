#include "bench/recovery.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "config/error.hpp"
#include "monitoring/human.hpp"
#include "optim/merger.hpp"
#include "recovery/history.hpp"
#include "recovery/records.hpp"
#include "recovery/replay.hpp"
#include "recovery/resume.hpp"
#include "recovery/snapshot.hpp"
#include "storage/journal_reader.hpp"
#include "storage/journal_writer.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t block_size = std::size_t{1} << 20;

/// Small, different numbers: no pass over them is faster than over those of a model.
version_ptr made_up(const parameter_layout& layout, std::size_t period) {
  auto buffer = std::make_shared<parameter_buffer>(layout.size());
  for (std::size_t i = 0; i < layout.size(); ++i) {
    buffer->data()[i] = 1e-4F * static_cast<float>(i % period);
  }
  return buffer;
}

/// Of the file's pages, the part that is in the system's memory.
double cached_share(int file, std::size_t size) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((size + page - 1) / page);
  void* const place = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  if (place == MAP_FAILED) return 0.0;
  ::mincore(place, size, pages.data());
  ::munmap(place, size);
  const auto cached = std::count_if(pages.begin(), pages.end(), [](auto p) { return p & 1; });
  return static_cast<double>(cached) / static_cast<double>(pages.size());
}

void drop_from_cache(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw run_error(path + ": cannot be opened");
  ::fsync(file);  // only what is on the disk can be dropped
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  const double share = cached_share(file, fs::file_size(path));
  ::close(file);
  if (share > 0.05) {
    throw usage_error(
        fmt::format("bench recovery: {:.0f}% of {} stays in memory, so it cannot be "
                    "read from a disk; choose a --directory on one",
                    100.0 * share, path));
  }
}

class contest {
 public:
  contest(const config& c, const recovery_bench_options& options)
      : config_(c), updates_(options.updates), scratch_(options.directory) {
    layout_.add("parameters", {options.parameters});
    write_checkpoint();
    write_journal();
    for (const auto& folder : {checkpoints(), journal()}) {
      for (const auto& file : fs::directory_iterator(folder)) paths_.push_back(file.path());
    }
    std::sort(paths_.begin(), paths_.end());
  }

  std::uint64_t size_of(const std::string& folder) const {
    std::uint64_t size = 0;
    for (const auto& file : fs::directory_iterator(folder)) size += file.file_size();
    return size;
  }
  std::string checkpoints() const { return checkpoint_folder(scratch_.path()); }
  std::string journal() const { return journal_folder(scratch_.path()); }

  double recover() {
    drop_all_from_cache();
    version_ptr result;
    const auto seconds = seconds_of([&] {
      std::optional<replayer> replay;
      const auto taken = restore_newest(disk_, checkpoints(), [&](checkpoint_reader& file) {
        auto part = snapshot_reader(file).read(run_part);
        replay.emplace(layout_, config_, take_merging(part));
      });
      journal_reader records(disk_, journal(), taken.header.value().record);
      const auto room = [&replay](std::size_t bytes) { return replay->room(bytes); };
      while (const auto entry = records.next(room)) replay->add(*entry);
      replay->complete();
      result = replay->parameters();
    });
    check(*result);
    return seconds;
  }

  double read_and_merge() {
    drop_all_from_cache();
    read_seconds.push_back(seconds_of([this] {
      std::vector<std::byte> block(block_size);
      for (const auto& path : paths_) {
        const auto file = disk_.open_to_read(path);
        for (std::uint64_t place = 0; place < file->size(); place += block_size) {
          const auto rest = std::min<std::uint64_t>(block_size, file->size() - place);
          file->read(place, std::span(block).first(rest));
        }
      }
    }));
    merger outer(layout_, config_);
    version_ptr current = made_up(layout_, parameter_period);
    const std::vector<merge_input> inputs{{made_up(layout_, update_period), nullptr, 1.0}};
    const auto merging = seconds_of([&] {
      for (std::int64_t i = 0; i < updates_; ++i) current = outer.merge(current, inputs, 0.0);
    });
    check(*current);
    return read_seconds.back() + merging;
  }

  std::vector<double> read_seconds;

 private:
  static constexpr std::size_t parameter_period = 1013;
  static constexpr std::size_t update_period = 997;

  void write_checkpoint() {
    merger outer(layout_, config_);
    snapshot part;
    put_merging(part, {0, made_up(layout_, parameter_period), outer.state(), nullptr, {}, {}});
    snapshot_writer writer(disk_, checkpoints(), {identity_, 0, 0});
    writer.add(std::string(run_part), std::move(part));
    while (writer.busy()) writer.write_slice();
    writer.commit();
  }

  void write_journal() {
    const auto update = made_up(layout_, update_period);
    journal_writer writer(disk_, journal(), identity_);
    for (std::int64_t i = 0; i < updates_; ++i) {
      const auto number = static_cast<std::uint64_t>(i);
      settled_round round;
      round.record.work.id = {0, 1, number};
      round.record.version = number + 1;
      round.record.weight = 1.0;
      round.merge.number = number + 1;
      writer.append(to_journal(round, update_bytes(layout_, *update)));
      writer.commit();
    }
  }

  void drop_all_from_cache() const {
    for (const auto& path : paths_) drop_from_cache(path);
  }

  void check(const parameter_buffer& result) {
    const auto sha256 = parameters_sha256(layout_, result.span());
    if (sha256_.empty()) sha256_ = sha256;
    if (sha256 != sha256_) {
      throw run_error("bench recovery: both sides ended with different parameters");
    }
  }

  config config_;
  std::int64_t updates_;
  scratch_folder scratch_;
  file_system& disk_ = posix_file_system();
  run_identity identity_ = new_run_identity();
  parameter_layout layout_;
  std::vector<std::string> paths_;
  std::string sha256_;
};

}  // namespace

recovery_bench_report measure_recovery(const config& c, const recovery_bench_options& options,
                                       const std::function<void(std::string_view)>& told) {
  if (merger(parameter_layout(), c).needs_base()) {
    throw usage_error(
        "bench recovery: this outer optimizer needs what each round started from, which the "
        "made-up journal does not tell; choose another outer.optimizer or staleness.compensation");
  }
  contest sides(c, options);
  recovery_bench_report report;
  report.parameters = options.parameters;
  report.updates = options.updates;
  report.checkpoint_bytes = sides.size_of(sides.checkpoints());
  report.journal_bytes = sides.size_of(sides.journal());
  report.times = measure_in_turn(
      options.repeats, [&] { return sides.recover(); }, [&] { return sides.read_and_merge(); },
      told);
  report.read_seconds = spread(sides.read_seconds);
  return report;
}

std::string to_text(const recovery_bench_report& report) {
  std::string text = "How long recovery takes\n\n";
  const auto fact = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<16}  {}\n", name, value);
  };
  fact("model", fmt::format("{} parameters", human_count(static_cast<double>(report.parameters))));
  fact("checkpoint", human_bytes(report.checkpoint_bytes));
  fact("journal", fmt::format("{} updates, {}", report.updates, human_bytes(report.journal_bytes)));
  fact("measured", fmt::format("{} times each, in turn, from the disk", report.times.own.size()));
  text += "\n";
  const auto row = [&](std::string_view name, const spread& s) {
    fact(name, fmt::format("median {:.3f} s, MAD {:.3f} s", s.middle, s.deviation));
  };
  row("recovery", spread(report.times.own));
  row("read and merge", spread(report.times.reference));
  row("  of it reading", report.read_seconds);
  text += "  (MAD: median absolute deviation from the median)\n";
  text += fmt::format("\n  recovery: {:.3f} times as long (median of the pairs' ratios)\n",
                      report.times.median_of_ratios());
  return text;
}

std::string to_json(const recovery_bench_report& report) {
  const nlohmann::ordered_json value = {{"parameters", report.parameters},
                                        {"updates", report.updates},
                                        {"checkpoint_bytes", report.checkpoint_bytes},
                                        {"journal_bytes", report.journal_bytes},
                                        {"recovery_seconds", report.times.own},
                                        {"read_and_merge_seconds", report.times.reference},
                                        {"read_seconds", report.read_seconds.values},
                                        {"ratio_of_medians", report.times.ratio_of_medians()},
                                        {"median_of_ratios", report.times.median_of_ratios()}};
  return value.dump(2) + '\n';
}

}  // namespace rubato
