#include "recovery/resume.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "config/error.hpp"
#include "config/schema.hpp"

namespace rubato {

namespace {

namespace fs = std::filesystem;

bool may_differ(const key_spec& spec) {
  const auto section = spec.section();
  return spec.scope == key_scope::node || spec.name == "run.name" ||
         spec.name == "data.held_out_paths" || section == "evaluate" || section == "record" ||
         section == "checkpoint" || spec.name == "journal.keep";
}

}  // namespace

std::string checkpoint_folder(const std::string& directory) {
  return (fs::path(directory) / "checkpoints").string();
}

run_state state_of_run(const std::string& directory) {
  const auto state = run_directory::state(directory);
  if (state != run_state::finished) return state;
  std::ifstream in(fs::path(directory) / "summary.json");
  const auto summary = nlohmann::json::parse(in, nullptr, false);
  const bool interrupted = summary.is_object() && summary.value("outcome", "") == "interrupted";
  return interrupted ? run_state::unfinished : run_state::finished;
}

std::vector<changed_setting> changed_settings(const config& before, const config& after) {
  std::vector<changed_setting> changes;
  for (const auto& spec : keys()) {
    if (may_differ(spec)) continue;
    const auto old = spec.member.get(before);
    const auto now = spec.member.get(after);
    if (old == now || (!in_use(spec, before) && !in_use(spec, after))) continue;
    changes.push_back({std::string(spec.name), to_text(old), to_text(now)});
  }
  return changes;
}

void check_settings(const config& saved, const config& now) {
  for (const auto& change : changed_settings(saved, now)) {
    throw usage_error(
        fmt::format("{} = {}: the run in {} was begun with {}, which it depends on; go on with "
                    "that, or begin a new run in another folder",
                    change.key, change.after, now.run.directory, change.before));
  }
}

std::unique_ptr<restored_run> restore_run(file_system& files, const std::string& directory,
                                          const std::string& states_in) {
  const auto folder = checkpoint_folder(directory);
  std::error_code unreadable;
  if (!fs::is_directory(folder, unreadable)) return nullptr;
  std::unique_ptr<restored_run> result;
  const auto load = [&](checkpoint_reader& file) {
    result = std::make_unique<restored_run>();
    snapshot_reader reader(file);
    try {
      result->run = reader.read(run_part);
      result->record = reader.read(record_part).values;
      for (const auto& name : reader.parts()) {
        if (name == run_part || name == record_part) continue;
        auto part = reader.read(name);
        auto worker = std::make_shared<worker_snapshot>(take_worker(part));
        if (worker->inner && !states_in.empty()) {
          *worker->inner = copy_of(*worker->inner, states_in);
          let_go(*worker->inner);
        }
        result->workers[worker->worker] = std::move(worker);
      }
    } catch (const nlohmann::json::exception& error) {
      throw run_error(fmt::format("{} is whole, but not a checkpoint of this program: {}",
                                  file.path(), error.what()));
    }
  };
  const auto taken = restore_newest(files, folder, load);
  if (!taken.header) {
    if (taken.skipped.empty()) return nullptr;
    throw run_error(taken.skipped.front() + "; and no other checkpoint is whole");
  }
  result->header = *taken.header;
  result->skipped = taken.skipped;
  return result;
}

}  // namespace rubato
