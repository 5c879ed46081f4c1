#include "corpus/text_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <isa-l/igzip_lib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "config/error.hpp"

namespace rubato {
namespace {

constexpr std::size_t read_size = 1 << 18;

const char* reason_of(int code) {
  switch (code) {
    case ISAL_INVALID_WRAPPER:
      return "this is not gzip data";
    case ISAL_UNSUPPORTED_METHOD:
      return "the compression is not deflate";
    case ISAL_INCORRECT_CHECKSUM:
      return "the checksum is wrong";
    default:
      return "the gzip data is damaged";
  }
}

}  // namespace

struct text_source::input {
  explicit input(const std::string& name) : path(name), is_gzip(name.ends_with(".gz")) {
    file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) throw unreadable();
    ::posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (is_gzip) {
      compressed.resize(read_size);
      isal_inflate_init(&inflate);
      inflate.crc_flag = ISAL_GZIP;
    }
  }
  ~input() { ::close(file); }
  input(const input&) = delete;
  input& operator=(const input&) = delete;

  usage_error unreadable() const {
    return usage_error(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }

  std::size_t read_file(char* into, std::size_t size) {
    for (;;) {
      const auto got = ::read(file, into, size);
      if (got >= 0) {
        position += static_cast<std::uint64_t>(got);
        return static_cast<std::size_t>(got);
      }
      if (errno != EINTR) throw unreadable();
    }
  }

  /// Some bytes of text; 0 at the end.
  std::size_t read(char* into, std::size_t size) {
    if (!is_gzip) return read_file(into, size);
    inflate.next_out = reinterpret_cast<std::uint8_t*>(into);
    inflate.avail_out = static_cast<std::uint32_t>(size);
    while (inflate.avail_out == size) {
      if (inflate.avail_in == 0) {
        inflate.next_in = reinterpret_cast<std::uint8_t*>(compressed.data());
        inflate.avail_in = static_cast<std::uint32_t>(read_file(compressed.data(), read_size));
        if (inflate.avail_in == 0) {
          if (is_between_members && position > 0) break;
          throw usage_error(fmt::format(
              "{}: the gzip data ends early, after {} bytes of the file; get the file again or "
              "leave it out",
              path, position));
        }
      }
      if (inflate.block_state == ISAL_BLOCK_FINISH) {  // another member follows
        isal_inflate_reset(&inflate);
        inflate.crc_flag = ISAL_GZIP;
      }
      is_between_members = false;
      const int code = isal_inflate(&inflate);
      if (code != ISAL_DECOMP_OK) {
        throw usage_error(fmt::format("{}: {}, before byte {}; get the file again or leave it out",
                                      path, reason_of(code), position - inflate.avail_in));
      }
      is_between_members = inflate.block_state == ISAL_BLOCK_FINISH;
    }
    return size - inflate.avail_out;
  }

  std::string path;
  bool is_gzip;
  int file = -1;
  std::uint64_t position = 0;
  std::vector<char> compressed;
  inflate_state inflate{};
  bool is_between_members = false;
};

text_source::text_source(const std::string& path) : input_(std::make_unique<input>(path)) {}

text_source::~text_source() = default;

std::uint64_t text_source::position() const {
  return input_->position;
}

bool text_source::fill(text_block& block) {
  while (!is_at_end_ && block.size < block.capacity()) {
    const auto got = input_->read(block.data() + block.size, block.capacity() - block.size);
    block.size += got;
    is_at_end_ = got == 0;
  }
  return !is_at_end_;
}

void text_source::skip_line() {
  for (bool more = true; more;) {
    rest_ = text_block(block_size);
    more = fill(rest_);
    const auto end = rest_.text().find('\n');
    if (end == std::string_view::npos) continue;
    rest_.size -= end + 1;
    std::memmove(rest_.data(), rest_.data() + end + 1, rest_.size);
    return;
  }
  rest_.size = 0;
}

text_block text_source::next() {
  text_block block(std::max(block_size, rest_.size));
  std::copy_n(rest_.data(), rest_.size, block.data());
  block.size = std::exchange(rest_.size, 0);
  block.is_first = !std::exchange(has_begun_, true);
  for (;;) {
    if (!fill(block)) {
      block.is_last = true;
      return block;
    }
    const auto end = block.text().rfind('\n');
    if (end != std::string_view::npos) {
      const auto left = block.text().substr(end + 1);
      rest_ = text_block(std::max(block_size, left.size()));
      std::copy(left.begin(), left.end(), rest_.data());
      rest_.size = left.size();
      block.size = end + 1;
      return block;
    }
    if (block.size >= longest_line) {
      skip_line();
      block.size = 0;
      block.is_too_long = true;
      return block;
    }
    text_block larger(block.size * 2);
    std::copy_n(block.data(), block.size, larger.data());
    larger.size = block.size;
    larger.is_first = block.is_first;
    block = std::move(larger);
  }
}

}  // namespace rubato
