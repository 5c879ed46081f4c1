// A little_run as a run directory on the disk: journal, checkpoints, summary, configuration.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "recovery/audit.hpp"
#include "recovery/history.hpp"
#include "recovery/replay.hpp"
#include "recovery/resume.hpp"
#include "recovery/snapshot.hpp"
#include "storage/journal_writer.hpp"
#include "storage/safetensors.hpp"
#include "tests/recovery/little_run.hpp"
#include "tests/storage/temporary_folder.hpp"

namespace rubato {

/// A run directory with a journal of small segments and checkpoints of some moments.
struct run_files {
  explicit run_files(const override_list& settings = {}, std::size_t checkpoints = 4)
      : base(settings), run(little_config(settings)), directory(folder.file("run")) {
    std::filesystem::create_directory(directory);
    write_journal(run.records, run.records.size());
    for (std::uint64_t i = 0; i < checkpoints; ++i) {
      write_checkpoint(i, run.moments[i * (run.moments.size() - 1) / checkpoints]);
    }
    nlohmann::json summary{
        {"server_version", run.core().version()},
        {"params_sha256", parameters_sha256(run.layout, run.parameters()->span())}};
    auto& counts = summary["updates"];
    const auto& core = run.core();
    counts = {{"applied", core.count(fate::applied)},
              {"stale", core.count(fate::too_stale)},
              {"rejected", 0},
              {"duplicate", 0},
              {"run_ended", core.count(fate::run_ended)},
              {"abandoned", core.count(fate::abandoned)}};
    std::ofstream(file("summary.json")) << summary;
    std::ofstream(file("config.toml")) << to_toml(run.settings);
    std::vector<named_tensor> tensors;
    for (const auto& tensor : run.layout.tensors()) {
      tensors.push_back({tensor.name, tensor.shape,
                         run.parameters()->span().subspan(tensor.offset, tensor.size)});
    }
    write_safetensors(file("parameters.safetensors"), tensors);
  }

  void write_journal(const std::vector<journal_record>& records, std::size_t count,
                     std::uint64_t drop_before = 0) {
    std::filesystem::remove_all(journal_folder(directory));
    journal_writer writer(disk, journal_folder(directory), identity, {.segment_bytes = 4096});
    for (std::size_t i = 0; i < count; ++i) {
      writer.append(records[i]);
      writer.commit();
    }
    writer.drop_before(drop_before);
  }

  void write_checkpoint(std::uint64_t number, const little_run::moment& moment,
                        std::optional<run_identity> of = {}) {
    ledger books;
    for (std::size_t i = 0; i < moment.record; ++i) books.add(i, run.records[i]);
    snapshot_writer writer(disk, checkpoint_folder(directory),
                           {of.value_or(identity), number, moment.record});
    snapshot part;
    part.values["layout"] = layout_json(run.layout);
    put_merging(part, moment.state);
    writer.add(std::string(run_part), std::move(part));
    snapshot record;
    record.values["sha256"] = parameters_sha256(run.layout, moment.state.parameters->span());
    record.values["books"] = books.state();
    writer.add(std::string(record_part), std::move(record));
    while (writer.busy()) writer.write_slice();
    writer.commit();
  }

  std::string file(std::string_view name) const { return directory + "/" + std::string(name); }
  std::string checkpoint(std::uint64_t number) const {
    return checkpoint_path(checkpoint_folder(directory), number);
  }

  /// Changes one byte in the middle of a file.
  static void damage(const std::string& path) {
    auto bytes = read_bytes(path);
    bytes[bytes.size() / 2] ^= 1;
    write_bytes(path, bytes);
  }

  struct outcome {
    replay_result result;
    std::vector<replay_point> points;

    bool all_same() const {
      return std::all_of(points.begin(), points.end(), [](const auto& p) { return p.same(); });
    }
  };

  outcome replay(const override_list& overrides = {}) {
    outcome o;
    const auto report = [&o](const replay_point& p) { o.points.push_back(p); };
    const bool what_if = !overrides.empty();
    auto all = base;
    all.insert(all.end(), overrides.begin(), overrides.end());
    o.result = replay_run(disk, directory, little_config(all), what_if, report);
    return o;
  }

  file_system& disk = posix_file_system();
  run_identity identity = new_run_identity();
  temporary_folder folder;
  override_list base;
  little_run run;
  std::string directory;
};

}  // namespace rubato
