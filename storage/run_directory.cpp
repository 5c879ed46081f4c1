#include "storage/run_directory.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "config/error.hpp"
#include "storage/file_io.hpp"

namespace rubato {

namespace {

namespace fs = std::filesystem;

// Long groups of lines go out in pieces, so that the buffer stays small.
constexpr std::size_t pending_limit = 1 << 20;

constexpr const char* config_name = "config.toml";
constexpr const char* summary_name = "summary.json";
constexpr std::array files_of_a_run = {config_name, "metrics.jsonl", "updates.jsonl", summary_name};

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  throw usage_error("run.directory = \"" + path + "\" " + reason);
}

void create_folders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) refuse(path.string(), "cannot be created: " + error.message());
}

void check_access(const std::string& path) {
  if (::access(path.c_str(), W_OK | X_OK) != 0) {
    refuse(path, "cannot be written: " + std::generic_category().message(errno));
  }
}

std::string local_time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &parts);
  return text.data();
}

/// Creates a folder that was not there before, so that runs started in the same second, also by
/// other processes, never share one.
std::string create_unique_folder(std::string_view name) {
  if (name.empty() || name.find('/') != std::string_view::npos) {
    throw usage_error("run.name = \"" + std::string(name) +
                      "\" cannot name a folder; it must be non-empty and without \"/\"");
  }
  create_folders("runs");
  const std::string wanted = "runs/" + std::string(name) + "-" + local_time_stamp();
  std::string path = wanted;
  std::error_code error;
  for (int attempt = 2; !fs::create_directory(path, error); ++attempt) {
    if (error) refuse(path, "cannot be created: " + error.message());
    path = wanted + "-" + std::to_string(attempt);
  }
  return path;
}

}  // namespace

// -- lines --------------------------------------------------------------------------------------

line_file::line_file(const std::string& path, std::uint64_t keep, file_system& files)
    : file_(files.open_to_append(path)) {
  if (keep == everything) return;
  if (file_->size() < keep) {
    throw file_error(
        "continue", path,
        fmt::format("it should have at least {} bytes, but has {}", keep, file_->size()));
  }
  file_->truncate(keep);
}

line_file::~line_file() {
  try {
    flush();
  } catch (const run_error&) {
    // Nobody is left to be told.
  }
}

void line_file::append(std::string_view line) {
  pending_ += line;
  pending_ += '\n';
  if (pending_.size() >= pending_limit) flush();
}

void line_file::flush() {
  if (pending_.empty()) return;
  const std::uint64_t before = file_->size();
  const byte_span lines = as_bytes(pending_);
  try {
    file_->append({&lines, 1});
  } catch (const file_error&) {
    pending_.erase(0, file_->size() - before);
    throw;
  }
  pending_.clear();
}

std::uint64_t line_file::sync() {
  flush();
  file_->sync();
  return file_->size();
}

// -- folder -------------------------------------------------------------------------------------

run_directory::run_directory(std::string path, std::string_view name) : path_(std::move(path)) {
  if (path_.empty()) {
    path_ = create_unique_folder(name);
    return;
  }
  create_folders(path_);
  for (const char* existing : files_of_a_run) {
    std::error_code unreadable;  // told by the access check
    if (fs::exists(file(existing), unreadable)) {
      refuse(path_, "already holds a run (" + std::string(existing) +
                        " is there); give another folder, or none for a new one under runs/");
    }
  }
  check_access(path_);
}

run_directory run_directory::of_existing_run(std::string path) {
  if (state(path) == run_state::none) {
    refuse(path, fmt::format("holds no run to continue ({} is not there)", config_name));
  }
  check_access(path);
  run_directory directory;
  directory.path_ = std::move(path);
  return directory;
}

run_state run_directory::state(const std::string& path) {
  const fs::path folder(path);
  std::error_code unreadable;  // then there is nothing that could be continued
  if (!fs::exists(folder / config_name, unreadable)) return run_state::none;
  return fs::exists(folder / summary_name, unreadable) ? run_state::finished
                                                       : run_state::unfinished;
}

std::string run_directory::file(std::string_view name) const {
  return (fs::path(path_) / name).string();
}

void run_directory::write(std::string_view name, std::string_view content) const {
  atomic_file target(file(name));
  target.write(content);
  target.commit();
}

}  // namespace rubato
