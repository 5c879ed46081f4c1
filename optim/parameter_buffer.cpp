#include "optim/parameter_buffer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "config/error.hpp"

namespace rubato {

namespace {

constexpr std::size_t alignment_bytes = 64;
constexpr std::size_t alignment_floats = alignment_bytes / sizeof(float);
constexpr std::size_t max_floats = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(float);

std::size_t padded(std::size_t floats) {
  return (floats + alignment_floats - 1) / alignment_floats * alignment_floats;
}

std::size_t element_count(const std::string& name, const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw std::invalid_argument("tensor " + name + " has a negative extent");
    const auto factor = static_cast<std::size_t>(extent);
    if (factor != 0 && count > max_floats / factor) {
      throw std::invalid_argument("tensor " + name + " is too large");
    }
    count *= factor;
  }
  return count;
}

std::size_t bytes_of_file(std::size_t floats) {
  return std::max<std::size_t>(1, floats * sizeof(float));  // nothing cannot be mapped
}

/// Memory that a file without a name stands behind, all zero.
void* map_file(const std::string& folder, std::size_t bytes) {
  const auto check = [&](bool good, int error) {
    if (good) return;
    throw run_error(fmt::format(
        "cannot keep {} bytes in a file in {}, as inner.state_files wants: {}; make room there, or "
        "set TMPDIR to a folder on another disk",
        bytes, folder, std::generic_category().message(error)));
  };
  int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) {  // a file system without these
    auto path = folder + "/rubato-state-XXXXXX";
    file = ::mkostemp(path.data(), O_CLOEXEC);
    check(file >= 0, errno);
    ::unlink(path.c_str());
  }
  // To run out of disk is an error here, but would kill the process where it writes to the memory.
  const int full = ::posix_fallocate(file, 0, static_cast<off_t>(bytes));
  void* memory =
      full != 0 ? MAP_FAILED : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const int error = full != 0 ? full : errno;
  ::close(file);
  check(memory != MAP_FAILED, error);
  return memory;
}

void check_digest(int result) {
  if (result != 1) throw run_error("SHA-256 failed: OpenSSL does not offer it here");
}

}  // namespace

// -- layout -------------------------------------------------------------------------------------

void parameter_layout::add(std::string name, std::vector<std::int64_t> shape, section part) {
  for (const tensor_entry& tensor : tensors_) {
    if (tensor.name == name) throw std::invalid_argument("tensor " + name + " is there twice");
  }
  const std::size_t size = element_count(name, shape);
  if (size > max_floats - alignment_floats - this->size()) {
    throw std::invalid_argument("tensor " + name + " makes the buffer too large");
  }
  auto place = std::find_if(tensors_.begin(), tensors_.end(),
                            [part](const tensor_entry& tensor) { return tensor.part > part; });
  const std::size_t offset = end(part);
  place = tensors_.insert(place, {std::move(name), std::move(shape), part, offset, size});
  for (auto later = place + 1; later != tensors_.end(); ++later) later->offset += padded(size);
}

std::size_t parameter_layout::count(section part) const {
  std::size_t total = 0;
  for (const tensor_entry& tensor : tensors_) {
    if (tensor.part == part) total += tensor.size;
  }
  return total;
}

std::size_t parameter_layout::end(section part) const {
  std::size_t total = 0;
  for (const tensor_entry& tensor : tensors_) {
    if (tensor.part <= part) total = tensor.offset + padded(tensor.size);
  }
  return total;
}

// -- buffer -------------------------------------------------------------------------------------

parameter_buffer::parameter_buffer(std::size_t size) : parameter_buffer(size, {}) {}

parameter_buffer::parameter_buffer(std::size_t size, const std::string& folder) : size_(size) {
  if (size > max_floats) throw std::bad_array_new_length();
  if (!folder.empty()) {
    memory_ = nullptr;
    data_ = static_cast<float*>(map_file(folder, bytes_of_file(size)));
    return;
  }
  // calloc knows which memory the system has cleared already.
  std::size_t space = size * sizeof(float) + alignment_bytes;
  memory_ = std::calloc(space, 1);
  if (memory_ == nullptr) throw std::bad_alloc();
  void* place = memory_;
  data_ = static_cast<float*>(std::align(alignment_bytes, size * sizeof(float), place, space));
}

parameter_buffer::~parameter_buffer() {
  if (memory_ == nullptr) {
    ::munmap(data_, bytes_of_file(size_));
  } else {
    std::free(memory_);
  }
}

void parameter_buffer::will_need() const {
  if (memory_ == nullptr) ::madvise(data_, bytes_of_file(size_), MADV_WILLNEED);
}

void parameter_buffer::let_go() const {
  // Of a shared mapping nothing is lost: what was changed is the file's, and on its way to the
  // disk.
  if (memory_ == nullptr) ::madvise(data_, bytes_of_file(size_), MADV_DONTNEED);
}

buffer_ptr copy_of(const parameter_buffer& buffer) {
  return copy_of(buffer, {});
}

buffer_ptr copy_of(const parameter_buffer& buffer, const std::string& folder) {
  auto copy = std::make_shared<parameter_buffer>(buffer.size(), folder);
  std::copy(buffer.span().begin(), buffer.span().end(), copy->data());
  return copy;
}

buffer_ptr own(version_ptr buffer) {
  if (buffer.use_count() == 1) return std::const_pointer_cast<parameter_buffer>(buffer);
  return copy_of(*buffer);
}

// -- pool ---------------------------------------------------------------------------------------

struct buffer_pool::shelf {
  std::mutex mutex;
  std::string folder;
  std::vector<std::unique_ptr<parameter_buffer>> free;
  std::size_t allocated = 0;
};

buffer_pool::buffer_pool(std::size_t buffer_size) : buffer_pool(buffer_size, {}) {}

buffer_pool::buffer_pool(std::size_t buffer_size, const std::string& folder)
    : size_(buffer_size), shelf_(std::make_shared<shelf>()) {
  shelf_->folder = folder;
}

buffer_ptr buffer_pool::take() {
  std::unique_ptr<parameter_buffer> buffer;
  {
    const std::lock_guard lock(shelf_->mutex);
    if (!shelf_->free.empty()) {
      buffer = std::move(shelf_->free.back());
      shelf_->free.pop_back();
    }
  }
  if (buffer == nullptr) {
    // Outside the lock, for zeroing a large buffer takes long.
    buffer = std::make_unique<parameter_buffer>(size_, shelf_->folder);
    const std::lock_guard lock(shelf_->mutex);
    // Room for every buffer to come back at once: giving one back must never throw.
    shelf_->free.reserve(shelf_->allocated + 1);
    ++shelf_->allocated;
  }

  // Weak, so that buffers which outlive the pool are freed one by one as they are let go.
  auto give_back = [shelf = std::weak_ptr(shelf_)](parameter_buffer* returned) {
    std::unique_ptr<parameter_buffer> owned(returned);
    if (const auto home = shelf.lock()) {
      const std::lock_guard lock(home->mutex);
      home->free.push_back(std::move(owned));
    }
  };
  return {buffer.release(), std::move(give_back)};
}

std::size_t buffer_pool::allocated() const {
  const std::lock_guard lock(shelf_->mutex);
  return shelf_->allocated;
}

// -- hash ---------------------------------------------------------------------------------------

std::string parameters_sha256(const parameter_layout& layout, std::span<const float> buffer) {
  static_assert(std::endian::native == std::endian::little, "the hash is of little-endian floats");
  if (buffer.size() < layout.end(section::averaged)) {
    throw std::invalid_argument("parameters_sha256: the buffer is shorter than its layout");
  }
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  if (context == nullptr) throw std::bad_alloc();
  check_digest(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr));
  for (const tensor_entry& tensor : layout.tensors()) {
    if (tensor.part == section::local) continue;
    check_digest(EVP_DigestUpdate(context.get(), buffer.data() + tensor.offset,
                                  tensor.size * sizeof(float)));
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  check_digest(EVP_DigestFinal_ex(context.get(), digest.data(), &length));

  constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) {
    hex += digits[digest[i] >> 4];
    hex += digits[digest[i] & 15];
  }
  return hex;
}

}  // namespace rubato
