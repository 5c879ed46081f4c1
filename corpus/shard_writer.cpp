#include "corpus/shard_writer.hpp"

#include <algorithm>
#include <stdexcept>

#include "bytes/crc32c.hpp"

namespace rubato {

constexpr std::size_t write_size = 1 << 20;

shard_writer::shard_writer(const std::string& path, const shard_header& header)
    : header_(header), file_(std::make_unique<atomic_file>(path)) {
  write(encode(header_));
}

void shard_writer::write(byte_span bytes) {
  digest_.add(bytes);
  byte_writer(buffer_).put_bytes(bytes);
  if (buffer_.size() < write_size) return;
  file_->write(buffer_);
  buffer_.clear();
}

void shard_writer::put_body(byte_span bytes) {
  write(bytes);
  while (!bytes.empty()) {
    const auto room = shard_header::block - body_ % shard_header::block;
    const byte_span part = bytes.first(std::min<std::size_t>(bytes.size(), room));
    checksum_ = crc32c(part, checksum_);
    body_ += part.size();
    bytes = bytes.subspan(part.size());
    if (part.size() == room) {
      checksums_.push_back(checksum_);
      checksum_ = 0;
    }
  }
}

void shard_writer::put_tokens(byte_span tokens) {
  if (tokens.size() > header_.tokens * header_.token_width - body_) {
    throw std::logic_error("shard_writer: more tokens than announced");
  }
  put_body(tokens);
}

void shard_writer::put_lengths(std::span<const std::uint32_t> lengths) {
  if (documents_ == 0) {
    if (body_ != header_.tokens * header_.token_width) {
      throw std::logic_error("shard_writer: fewer tokens than announced");
    }
    const std::vector<std::byte> zeros(header_.ends_offset() - body_);
    put_body(zeros);
  }
  std::vector<std::uint64_t> ends;
  ends.reserve(lengths.size());
  for (const auto length : lengths) ends.push_back(end_ += length);
  documents_ += lengths.size();
  put_body(std::as_bytes(std::span(ends)));
}

std::string shard_writer::finish() {
  put_lengths({});
  if (documents_ != header_.documents || end_ != header_.tokens) {
    throw std::logic_error("shard_writer: other documents than announced");
  }
  if (body_ % shard_header::block != 0) checksums_.push_back(checksum_);
  const auto table = std::as_bytes(std::span(checksums_));
  write(table);
  const auto last = crc32c(table);
  write(std::as_bytes(std::span(&last, 1)));
  file_->write(buffer_);
  file_->commit();
  return digest_.hex();
}

}  // namespace rubato
