#include "storage/file_io.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace rubato {

namespace {

constexpr std::string_view temporary_mark = ".partial-";

std::string unique_name(const std::string& path) {
  static std::atomic<unsigned> counter = 0;
  return fmt::format("{}{}{}-{}", path, temporary_mark, ::getpid(), counter++);
}

std::string name_of(std::uint64_t number, std::string_view suffix) {
  return fmt::format("{:012}{}", number, suffix);
}

/// The number in a name that numbered_path() would give.
std::optional<std::uint64_t> number_in(std::string_view name, std::string_view suffix) {
  std::uint64_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  if (name_of(number, suffix) != name) return std::nullopt;
  return number;
}

}  // namespace

// -- one file -----------------------------------------------------------------------------------

/// Errors name the file that a person knows, not the temporary one.
template <class Step>
void atomic_file::attempt(Step&& step) {
  try {
    step();
  } catch (const file_error& error) {
    throw file_error("write", path_, error.reason());
  }
}

atomic_file::atomic_file(std::string path, file_system& files)
    : path_(std::move(path)), files_(files), temporary_(unique_name(path_)) {
  attempt([&] {
    file_ = files_.open_to_append(temporary_);
    // A process of the same id may have been killed here before.
    if (file_->size() > 0) file_->truncate(0);
  });
}

atomic_file::~atomic_file() {
  if (temporary_.empty()) return;
  try {
    files_.remove(temporary_);
  } catch (const run_error&) {
    // Whoever is here knows of a worse error already.
  }
}

void atomic_file::write(byte_span bytes) {
  attempt([&] { file_->append({&bytes, 1}); });
}

void atomic_file::sync() {
  attempt([&] { file_->sync(); });
}

void atomic_file::commit() {
  attempt([&] {
    file_->sync();
    files_.rename(temporary_, path_);
    temporary_.clear();
    files_.sync_folder(folder_of(path_));
  });
}

void remove_leftovers(file_system& files, const std::string& folder) {
  for (const std::string& name : files.list(folder)) {
    if (name.find(temporary_mark) != std::string::npos)
      files.remove(fmt::format("{}/{}", folder, name));
  }
}

// -- numbered files -----------------------------------------------------------------------------

std::string numbered_path(const std::string& folder, std::uint64_t number,
                          std::string_view suffix) {
  return fmt::format("{}/{}", folder, name_of(number, suffix));
}

std::vector<std::uint64_t> list_numbered(file_system& files, const std::string& folder,
                                         std::string_view suffix) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : files.list(folder)) {
    if (const auto number = number_in(name, suffix)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace rubato
