#include "data/tokens/token_shard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "bytes/crc32c.hpp"
#include "config/error.hpp"

namespace rubato {
namespace {

shard_header open(const mapped_file& file) {
  try {
    const shard_header header = decode_shard_header(file.bytes());
    const auto end = header.file_size();
    const auto table = file.bytes().subspan(end - 4 - header.blocks() * 4, header.blocks() * 4);
    if (byte_reader(file.bytes().subspan(end - 4)).take<std::uint32_t>() != crc32c(table)) {
      throw malformed_bytes(
          fmt::format("its table of checksums, at byte {}, is damaged", end - 4 - table.size()));
    }
    return header;
  } catch (const malformed_bytes& error) {
    throw usage_error(
        fmt::format("cannot use {}: {}; prepare the corpus again", file.path(), error.what()));
  }
}

/// Copies so many tokens of this width, and returns the largest.
template <class Token>
std::uint32_t copy_tokens(byte_span from, std::int32_t* into) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < from.size() / sizeof(Token); ++i) {
    Token token;
    std::memcpy(&token, from.data() + i * sizeof(Token), sizeof(Token));
    largest = std::max<std::uint32_t>(largest, token);
    into[i] = static_cast<std::int32_t>(token);
  }
  return largest;
}

}  // namespace

token_shard::token_shard(const std::string& path)
    : file_(path),
      header_(open(file_)),
      checked_(std::make_unique<std::atomic<bool>[]>(header_.blocks())) {}

void token_shard::fail(std::uint64_t body_offset, const std::string& reason) const {
  throw run_error(fmt::format("cannot use {}: {} at byte {}; prepare the corpus again",
                              file_.path(), reason, shard_header::size + body_offset));
}

byte_span token_shard::body(std::uint64_t offset, std::uint64_t size) const {
  const byte_span all = file_.bytes().subspan(shard_header::size, header_.body_size());
  for (auto block = offset / shard_header::block; block * shard_header::block < offset + size;
       ++block) {
    // Two threads may check the same block: that does no harm, and they agree.
    if (checked_[block].load(std::memory_order_relaxed)) continue;
    const auto start = block * shard_header::block;
    const auto table = file_.bytes().subspan(shard_header::size + all.size());
    const auto expected = byte_reader(table.subspan(block * 4)).take<std::uint32_t>();
    const auto length = std::min<std::uint64_t>(shard_header::block, all.size() - start);
    if (crc32c(all.subspan(start, length)) != expected) {
      fail(start, fmt::format("the {} bytes are damaged", length));
    }
    checked_[block].store(true, std::memory_order_relaxed);
  }
  return all.subspan(offset, size);
}

void token_shard::read(std::uint64_t first, std::uint64_t count, std::int32_t* into) const {
  if (first > tokens() || count > tokens() - first) {
    throw std::out_of_range("token_shard: no such tokens");
  }
  const auto width = header_.token_width;
  const byte_span from = body(first * width, count * width);
  const auto largest = width == 1   ? copy_tokens<std::uint8_t>(from, into)
                       : width == 2 ? copy_tokens<std::uint16_t>(from, into)
                                    : copy_tokens<std::uint32_t>(from, into);
  if (count > 0 && largest >= header_.vocabulary) {
    fail(first * width,
         fmt::format("there is the token {} in a vocabulary of {}", largest, header_.vocabulary));
  }
}

std::uint64_t token_shard::end_of(std::uint64_t document) const {
  return byte_reader(body(header_.ends_offset() + document * 8, 8)).take<std::uint64_t>();
}

token_shard::extent token_shard::document(std::uint64_t index) const {
  if (index >= documents()) throw std::out_of_range("token_shard: no such document");
  const auto first = index == 0 ? 0 : end_of(index - 1);
  const auto end = end_of(index);
  if (first > end || end > tokens() || (index + 1 == documents() && end != tokens())) {
    fail(header_.ends_offset() + index * 8,
         fmt::format("document {} cannot be the tokens {} to {}", index, first, end));
  }
  return {first, end - first};
}

void token_shard::verify() const {
  file_.read_in_order();
  std::vector<std::int32_t> some(shard_header::block);
  for (std::uint64_t first = 0; first < tokens(); first += some.size()) {
    read(first, std::min<std::uint64_t>(some.size(), tokens() - first), some.data());
  }
  for (std::uint64_t i = 0; i < documents(); ++i) document(i);
  const auto end = tokens() * header_.token_width;
  const byte_span padding = body(end, header_.ends_offset() - end);
  if (std::any_of(padding.begin(), padding.end(), [](std::byte b) { return b != std::byte{0}; })) {
    fail(end, "bytes that must be zero are not");
  }
  if (documents() == 0 && tokens() > 0) fail(end, "there are tokens of no document");
}

}  // namespace rubato
