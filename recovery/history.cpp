#include "recovery/history.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "config/error.hpp"
#include "recovery/resume.hpp"
#include "storage/journal_reader.hpp"

namespace rubato {

std::string journal_folder(const std::string& directory) {
  return (std::filesystem::path(directory) / "journal").string();
}

bool keeps_journal(file_system& files, const std::string& directory) {
  const auto folder = journal_folder(directory);
  return std::filesystem::is_directory(folder) && has_journal(files, folder);
}

void require_journal(file_system& files, const std::string& directory) {
  if (keeps_journal(files, directory)) return;
  throw usage_error(
      fmt::format("{}: has no journal; it was run with journal.enabled = false", directory));
}

std::unique_ptr<run_lock> lock_to_read(const std::string& directory) {
  if (::access(directory.c_str(), W_OK | X_OK) != 0) return nullptr;
  return std::make_unique<run_lock>(directory);
}

std::optional<nlohmann::json> summary_of(const std::string& directory) {
  const auto path = (std::filesystem::path(directory) / "summary.json").string();
  std::ifstream file(path);
  if (!file) return {};
  auto content = nlohmann::json::parse(file, nullptr, false);
  if (content.is_object()) return content;
  throw run_error(fmt::format("cannot read {}: it is not the JSON of a summary", path));
}

restored_checkpoint restore_oldest(file_system& files, const std::string& directory,
                                   std::uint64_t first_record,
                                   const std::function<void(checkpoint_reader&)>& load) {
  restored_checkpoint result;
  const auto folder = checkpoint_folder(directory);
  if (!std::filesystem::is_directory(folder)) return result;
  for (const auto number : list_checkpoints(files, folder)) {
    const auto path = checkpoint_path(folder, number);
    try {
      checkpoint_reader reader(files, path);
      if (reader.header().record < first_record) continue;
      load(reader);
      result.header = reader.header();
      return result;
    } catch (const run_error& e) {
      result.skipped.emplace_back(e.what());
    } catch (const nlohmann::json::exception& e) {
      result.skipped.push_back(
          fmt::format("{} is whole, but not a checkpoint of this program: {}", path, e.what()));
    }
  }
  return result;
}

}  // namespace rubato
