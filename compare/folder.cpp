#include "compare/folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include "config/error.hpp"
#include "storage/file_io.hpp"

namespace rubato {
namespace {

namespace fs = std::filesystem;

// Runs whose comparison was killed are killed with it, but a big one takes a while to go.
constexpr auto patience = std::chrono::seconds(5);
constexpr auto between_attempts = std::chrono::milliseconds(50);

constexpr const char* config_file = "cell.toml";
constexpr const char* log_file = "output.txt";

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  throw usage_error("compare.directory = \"" + path + "\" " + reason);
}

std::string reason(int error) {
  return std::generic_category().message(error);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

comparison_folder::comparison_folder(std::string path) : path_(std::move(path)) {
  std::error_code error;
  fs::create_directories(fs::path(path_) / "cells", error);
  if (error) refuse(path_, "cannot be created: " + error.message());
  if (fs::exists(fs::path(path_) / "summary.json", error)) {
    refuse(path_, "holds a run; give a folder of its own to the comparison");
  }
  const std::string file = path_ + "/lock";
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT, 0666);  // no O_CLOEXEC: see the class
  if (lock_ < 0) refuse(path_, "cannot be written: " + reason(errno));
  const auto give_up = std::chrono::steady_clock::now() + patience;
  while (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int why = errno;
    if (why == EINTR) continue;
    if (why != EWOULDBLOCK || std::chrono::steady_clock::now() > give_up) {
      ::close(lock_);
      refuse(path_, why == EWOULDBLOCK ? "is in use by another `rubato compare`"
                                       : "cannot be locked: " + reason(why));
    }
    std::this_thread::sleep_for(between_attempts);
  }
}

comparison_folder::~comparison_folder() {
  ::close(lock_);
}

std::string comparison_folder::directory_of(const cell& c) const {
  return path_ + "/cells/" + c.name;
}

std::string comparison_folder::config_of(const cell& c) const {
  return directory_of(c) + '/' + config_file;
}

std::string comparison_folder::log_of(const cell& c) const {
  return directory_of(c) + '/' + log_file;
}

std::optional<cell_result> comparison_folder::result_of(const cell& c) const {
  // The name is a hash of the identity; the file is the identity itself.
  if (read_file(config_of(c)) != c.identity) return std::nullopt;
  return read_result(directory_of(c));
}

void comparison_folder::prepare(const cell& c) const {
  const std::string directory = directory_of(c);
  std::error_code error;
  // Only what a cell of this name can have left: a link would lead out of the comparison.
  const auto status = fs::symlink_status(directory, error);
  if (fs::exists(status) && !fs::is_directory(status)) {
    throw run_error(directory + " is in the way: not a folder");
  }
  fs::remove_all(directory, error);
  if (error) throw run_error("cannot remove " + directory + ": " + error.message());
  fs::create_directory(directory, error);
  if (error) throw run_error("cannot create " + directory + ": " + error.message());
  atomic_file config(config_of(c));
  config.write(c.identity);
  config.commit();
}

std::string comparison_folder::last_words_of(const cell& c) const {
  std::ifstream in(log_of(c));
  std::string last;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

void comparison_folder::write(std::string_view name, std::string_view content) const {
  atomic_file file(path_ + '/' + std::string(name));
  file.write(content);
  file.commit();
}

}  // namespace rubato
