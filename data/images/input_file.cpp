#include "data/images/input_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "data/images/image_codec.hpp"

namespace rubato {
namespace {

bad_image unreadable() {
  return bad_image(image_fault::unreadable, std::strerror(errno));
}

}  // namespace

input_file::input_file(const std::string& path)
    : file_(std::fopen(path.c_str(), "rb"), std::fclose) {
  if (!file_ || fseeko(file_.get(), 0, SEEK_END) != 0) throw unreadable();
  size_ = ftello(file_.get());
  if (size_ < 0) throw unreadable();
}

std::vector<std::uint8_t> input_file::read(std::int64_t offset, std::int64_t count) {
  count = std::clamp<std::int64_t>(size_ - offset, 0, count);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count));
  if (fseeko(file_.get(), offset, SEEK_SET) != 0) throw unreadable();
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file_.get()));
  if (std::ferror(file_.get())) throw unreadable();
  return bytes;
}

}  // namespace rubato
