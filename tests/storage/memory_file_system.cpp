#include "tests/storage/memory_file_system.hpp"

#include <algorithm>
#include <random>
#include <utility>

namespace rubato {

namespace {

constexpr std::size_t block_size = 512;

std::string_view reason_of(memory_file_system::fault fault) {
  return fault == memory_file_system::fault::disk_full ? "No space left on device"
                                                       : "Input/output error";
}

/// What of a file reaches the disk when any of its blocks that were not synced may, or may not.
std::vector<std::byte> torn(const std::vector<std::byte>& durable,
                            const std::vector<std::byte>& bytes, std::mt19937_64& random) {
  // Files are appended to, and cut only where that is synced before anything is appended.
  const std::size_t common = std::min(durable.size(), bytes.size());
  std::vector<std::byte> result = durable.size() > bytes.size() ? durable : bytes;
  result.resize(common + random() % (result.size() - common + 1));
  for (std::size_t begin = common; begin < result.size();) {
    const std::size_t end = std::min(result.size(), (begin / block_size + 1) * block_size);
    if (random() % 2 == 0) std::fill(&result[begin], result.data() + end, std::byte{0});
    begin = end;
  }
  return result;
}

}  // namespace

// -- open files ---------------------------------------------------------------------------------

class memory_file_system::reading : public readable_file {
 public:
  reading(std::string path, file_ptr file)
      : path_(std::move(path)), file_(std::move(file)), size_(file_->bytes.size()) {}

  std::uint64_t size() const override { return size_; }

  void read(std::uint64_t offset, std::span<std::byte> into) override {
    const auto& bytes = file_->bytes;
    if (offset > bytes.size() || into.size() > bytes.size() - offset) {
      throw file_error("read", path_, "it ends sooner");
    }
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
  }

 private:
  std::string path_;
  file_ptr file_;
  std::uint64_t size_;
};

class memory_file_system::writing : public writable_file {
 public:
  writing(memory_file_system& files, std::string path, file_ptr file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}

  std::uint64_t size() const override { return file_->bytes.size(); }

  void append(std::span<const byte_span> pieces) override {
    const std::optional<fault> fault = files_.begin();
    std::vector<std::byte> all;
    for (const byte_span piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
    if (fault) all.resize(*fault == fault::io_error ? 0 : all.size() / 2);
    file_->bytes.insert(file_->bytes.end(), all.begin(), all.end());
    if (fault) suffer(*fault, "write");
  }

  void truncate(std::uint64_t size) override {
    if (const auto fault = files_.begin()) suffer(*fault, "truncate");
    file_->bytes.resize(size);
  }

  void sync() override {
    ++files_.syncs_;
    if (const auto fault = files_.begin()) suffer(*fault, "sync");
    file_->durable = file_->bytes;
  }

 private:
  [[noreturn]] void suffer(fault what, std::string_view action) const {
    if (what == fault::crash) throw power_cut();
    throw file_error(action, path_, reason_of(what));
  }

  memory_file_system& files_;
  std::string path_;
  file_ptr file_;
};

// -- faults -------------------------------------------------------------------------------------

void memory_file_system::fail_at(std::uint64_t operation, fault what) {
  failing_operation_ = operations_ + operation;
  fault_ = what;
}

void memory_file_system::restart(survival what, std::uint64_t seed) {
  failing_operation_ = 0;
  power_ = true;
  if (what == survival::everything) return;
  std::mt19937_64 random(seed);
  const bool by_chance = what == survival::chance;
  names_ = by_chance ? history_[random() % history_.size()] : history_.front();
  for (const std::string& path : removed_) {
    if (by_chance && random() % 2 == 0) names_.erase(path);
  }
  removed_.clear();
  for (auto& [path, file] : names_) {
    // A new object: who still has the file open does not reach it any more.
    auto left = std::make_shared<stored_file>();
    left->durable = by_chance ? torn(file->durable, file->bytes, random) : file->durable;
    left->bytes = left->durable;
    file = std::move(left);
  }
  history_ = {names_};
}

std::optional<memory_file_system::fault> memory_file_system::begin() {
  require_power();
  if (++operations_ != failing_operation_) return std::nullopt;
  if (fault_ == fault::crash) power_ = false;
  return fault_;
}

void memory_file_system::begin_or_throw(std::string_view action, const std::string& path) {
  if (const auto fault = begin()) {
    if (*fault == fault::crash) throw power_cut();
    throw file_error(action, path, reason_of(*fault));
  }
}

void memory_file_system::require_power() const {
  if (!power_) throw power_cut();
}

// -- files and folders --------------------------------------------------------------------------

std::string memory_file_system::content(const std::string& path) const {
  const auto& bytes = names_.at(path)->bytes;
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void memory_file_system::set_content(const std::string& path, std::string_view bytes) {
  auto file = std::make_shared<stored_file>();
  const byte_span content = as_bytes(bytes);
  file->bytes.assign(content.begin(), content.end());
  file->durable = file->bytes;
  folders_.insert(folder_of(path));
  names_[path] = file;
  for (name_table& names : history_) names[path] = file;
}

std::unique_ptr<readable_file> memory_file_system::open_to_read(const std::string& path) {
  require_power();
  const auto found = names_.find(path);
  if (found == names_.end()) throw file_error("read", path, "No such file or directory");
  return std::make_unique<reading>(path, found->second);
}

std::unique_ptr<writable_file> memory_file_system::open_to_append(const std::string& path) {
  require_power();
  if (!holds(path)) {
    begin_or_throw("write", path);
    names_[path] = std::make_shared<stored_file>();
    names_changed();
  }
  return std::make_unique<writing>(*this, path, names_.at(path));
}

void memory_file_system::rename(const std::string& from, const std::string& to) {
  begin_or_throw("rename", from);
  names_[to] = names_.at(from);
  names_.erase(from);
  names_changed();
}

void memory_file_system::remove(const std::string& path) {
  begin_or_throw("remove", path);
  names_.erase(path);
  removed_.insert(path);
  names_changed();
}

void memory_file_system::sync_folder(const std::string& path) {
  begin_or_throw("sync", path);
  std::erase_if(removed_, [&path](const auto& removed) { return folder_of(removed) == path; });
  for (name_table& names : history_) {
    std::erase_if(names, [&path](const auto& entry) { return folder_of(entry.first) == path; });
    for (const auto& entry : names_) {
      if (folder_of(entry.first) == path) names.insert(entry);
    }
  }
}

void memory_file_system::create_folder(const std::string& path) {
  require_power();
  if (folders_.count(path) > 0) return;
  begin_or_throw("create", path);
  folders_.insert(path);
}

std::vector<std::string> memory_file_system::list(const std::string& folder) {
  require_power();
  if (folders_.count(folder) == 0) throw file_error("list", folder, "No such file or directory");
  std::vector<std::string> names;
  for (const auto& entry : names_) {
    if (folder_of(entry.first) == folder) names.push_back(entry.first.substr(folder.size() + 1));
  }
  return names;
}

}  // namespace rubato
